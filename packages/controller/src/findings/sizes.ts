/** Whether it hangs on its size that a packet is lost, as where a path has a small MTU. Pure. */
import { carriesBytes } from './compare.ts';
import type { Sighting } from './conversations.ts';
import { greatest, least } from './extremes.ts';
import type { Loss } from './losses.ts';
import type { Talk } from './talks.ts';

/** All packets of `through` bytes and less came through, all of `lost` bytes and more were lost. */
export interface SizeLimit {
  through: number;
  lost: number;
}

/**
 * So many have to be lost, and to come through after the first that was lost: else what is lost may
 * be all that was sent from then on.
 */
const LEAST = 3;

/** The size from which on packets were lost. Undefined: it is not their size. */
export function sizeLimitOf(losses: readonly Loss[], talks: readonly Talk[]): SizeLimit | undefined {
  const missing = losses.flatMap((loss) => loss.missing.map(({ sighting }) => sighting));
  const gone = new Set(missing);
  const { way } = losses[0]!;
  const began = least(missing.map(({ at }) => at));
  const rest = talks
    .flatMap(({ conversation }) => conversation[way].sent)
    .filter((sighting) => sighting.counted && !gone.has(sighting));
  const after = rest.filter(({ at }) => at > began);
  const limit = {
    through: greatest(rest.map(wireLength)),
    lost: least(missing.map(wireLength)),
  };
  return missing.length >= LEAST && after.length >= LEAST && limit.through < limit.lost ? limit : undefined;
}

/** Bytes of a frame on the wire: of a super-packet those of its first segment. */
function wireLength(sighting: Sighting): number {
  const { length, gsoSize, headers } = sighting;
  return gsoSize > 0 && carriesBytes(sighting)
    ? length - headers.tcp!.data + Math.min(gsoSize, headers.tcp!.data)
    : length;
}
