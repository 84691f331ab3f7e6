/** A small line of the last minutes. A gap is a gap: what is not known is not drawn. */
import type { ReactNode } from 'react';

const [WIDTH, HEIGHT] = [96, 18];

/** The path of a line; a new piece begins behind each gap. */
export function linePath(values: readonly (number | null)[], width: number, height: number): string {
  const top = Math.max(1, ...values.map((value) => value ?? 0));
  const step = width / Math.max(1, values.length - 1);
  let pen = 'M';
  return values
    .map((value, index) => {
      if (value === null) {
        pen = 'M';
        return '';
      }
      const point = `${pen}${(index * step).toFixed(1)} ${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`;
      pen = 'L';
      return point;
    })
    .join('');
}

export function Sparkline({ values }: { values: readonly (number | null)[] }): ReactNode {
  return (
    <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false">
      <path d={linePath(values, WIDTH, HEIGHT)} fill="none" stroke="var(--calm)" strokeWidth="1.2" />
    </svg>
  );
}
