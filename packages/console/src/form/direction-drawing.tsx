/** What a direction means, drawn: which traffic of the source is copied to the destination. */
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';

const t = text.form;

/** An arrow between two points; thick and coloured where its traffic is copied. */
function Arrow({ x1, x2, y, on }: { x1: number; x2: number; y: number; on: boolean }): ReactNode {
  const tip = x2 > x1 ? x2 - 7 : x2 + 7;
  return (
    <g stroke={on ? 'var(--calm)' : 'var(--line)'} strokeWidth={on ? 2.5 : 1.5} fill="none">
      <path d={`M${x1} ${y}H${x2}M${tip} ${y - 5}L${x2} ${y}L${tip} ${y + 5}`} />
    </g>
  );
}

function Box({ x, y, label }: { x: number; y: number; label: string }): ReactNode {
  return (
    <g>
      <rect x={x} y={y} width="110" height="34" rx="3" fill="none" stroke="currentColor" />
      <text x={x + 55} y={y + 21} textAnchor="middle" fontSize="12" fill="currentColor">
        {label}
      </text>
    </g>
  );
}

export function DirectionDrawing({ direction }: { direction: string }): ReactNode {
  const copiesIn = direction !== 'outbound';
  const copiesOut = direction !== 'inbound';
  return (
    <svg width="420" height="130" viewBox="0 0 420 130" role="img" aria-label={t.drawing(direction)}>
      <Box x={5} y={10} label={t.drawingNetwork} />
      <Box x={305} y={10} label={t.drawingSource} />
      <Arrow x1={125} x2={295} y={19} on={copiesIn} />
      <Arrow x1={295} x2={125} y={36} on={copiesOut} />
      <Box x={155} y={90} label={t.drawingDestination} />
      <path
        d="M210 40V86M205 79L210 86L215 79"
        fill="none"
        stroke="var(--calm)"
        strokeWidth="2.5"
        strokeDasharray="5 3"
      />
    </svg>
  );
}
