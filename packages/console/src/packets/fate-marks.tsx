/** The fates of a packet and of its copy as a sign with a word. */
import type { ReactNode } from 'react';
import type { LookedPacket } from '../api/types.ts';
import { Data, Mark, type Tone } from '../parts/marks.tsx';
import { text } from '../text/index.ts';
import { type CopyKind, copyKind, copyReason, type OriginalKind, originalKind } from './fates.ts';

const t = text.packets;

/** As `arrived · node-2`. */
export function Place({ place, node }: Pick<LookedPacket, 'place' | 'node'>): ReactNode {
  return (
    <>
      {t.places[place]} <Data>· {node}</Data>
    </>
  );
}

const COPIES: Record<CopyKind, [Tone, string]> = {
  copied: ['good', '✓'],
  dropped: ['bad', '✕'],
  sampledOut: ['quiet', '◌'],
  skipped: ['quiet', '○'],
  countedOnArrival: ['calm', '↦'],
  noCapture: ['quiet', '–'],
};

export function CopyMark({ copy }: Pick<LookedPacket, 'copy'>): ReactNode {
  const kind = copyKind(copy);
  const [tone, sign] = COPIES[kind];
  const reason = copyReason(copy);
  return (
    <Mark tone={tone} sign={sign}>
      {t.copies[kind]}
      {reason !== '' && <Data>: {reason}</Data>}
    </Mark>
  );
}

const ORIGINALS: Record<OriginalKind, [Tone, string]> = {
  delivered: ['good', '✓'],
  seenLater: ['calm', '→'],
  byRule: ['calm', '⊘'],
  dropped: ['bad', '✕'],
  unknown: ['quiet', '?'],
};

export function OriginalMark({ original }: Pick<LookedPacket, 'original'>): ReactNode {
  const kind = originalKind(original);
  const [tone, sign] = ORIGINALS[kind];
  const { drop } = original;
  return (
    <Mark tone={tone} sign={sign}>
      {t.originals[kind]}
      {kind === 'dropped' && drop && `: ${t.causes[drop.cause]}`}
    </Mark>
  );
}
