/** A text as a QR code, for the camera of a phone. Comes with a library of its own: load it lazily. */
import { type ReactNode, useMemo } from 'react';
import { encode } from 'uqr';

/** Modules of the white border that readers need (ISO/IEC 18004, 6.3.8). */
const BORDER = 4;
/** Pixels of the side of a module. */
const MODULE = 4;

/** Black on white in dark colours, too: not all cameras read the reverse. */
export function QrCode({ value, label }: { value: string; label: string }): ReactNode {
  const { size, path } = useMemo(() => drawn(value), [value]);
  const side = size * MODULE;
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${size} ${size}`} width={side} height={side}>
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" shapeRendering="crispEdges" />
    </svg>
  );
}

/** The black modules as squares of a path, and how many modules a side has. */
function drawn(value: string): { size: number; path: string } {
  const { size, data } = encode(value, { ecc: 'M', border: BORDER });
  const squares = data.flatMap((row, y) => row.flatMap((isBlack, x) => (isBlack ? [`M${x} ${y}h1v1h-1z`] : [])));
  return { size, path: squares.join('') };
}
