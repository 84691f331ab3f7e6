/** What was seen at one place and not at the next. Pure. */
import { ByteCoverage, type ByteRange, Unwrapper } from './byte-ranges.ts';
import { type Sighting, wireCount } from './conversations.ts';

/** A packet, or what is missing of it at another place. */
export interface Part {
  sighting: Sighting;
  /** How many it is on the wire: of a super-packet the segments. */
  packets: number;
  /** Bytes of the stream. Empty: the packet carries none. */
  bytes: readonly ByteRange[];
}

/**
 * All of these packets, with the bytes of the stream that they carry.
 * @param base a sequence number of this way of the conversation, the same for all places
 */
export function wholeOf(sightings: readonly Sighting[], base: number): Part[] {
  const unwrapper = new Unwrapper(base);
  return sightings.map((sighting) => {
    const tcp = sighting.headers.tcp;
    if (tcp === undefined || !carriesBytes(sighting)) {
      return { sighting, packets: sighting.packets, bytes: [] };
    }
    // SYN and FIN count as one byte (RFC 9293, 3.4).
    const start = unwrapper.of(tcp.sequence);
    const end = start + tcp.data + (tcp.syn ? 1 : 0) + (tcp.fin ? 1 : 0);
    return { sighting, packets: sighting.packets, bytes: [{ start, end }] };
  });
}

/**
 * A reset takes no number, and an acknowledgement alone neither: they are told apart by their
 * fingerprint.
 */
export function carriesBytes({ headers: { tcp } }: Sighting): boolean {
  return tcp?.rst === false && (tcp.data > 0 || tcp.syn || tcp.fin);
}

/**
 * Looks for packets at a later place of one way of a conversation. No clock is compared. Where the
 * same was sent twice and came once, it is taken for one that is counted, and for the last of
 * these.
 * @param wanted what to look for
 * @param there what the other place has seen, from the same base as `wanted`
 * @returns what is not there
 */
export function missingAt(wanted: readonly Part[], there: readonly Part[]): Part[] {
  const ordered = wanted.toSorted(({ sighting: a }, { sighting: b }) => {
    return Number(b.counted) - Number(a.counted) || b.number - a.number;
  });
  const pool = Map.groupBy(there, ({ sighting }) => keyOf(sighting));
  const unmatched = ordered.filter((one) => !isWhole(one) || pool.get(keyOf(one.sighting))?.pop() === undefined);
  const left = [...pool.values()].flat();
  const singles = unmatched.filter(({ bytes }) => bytes.length === 0);
  const surplus = left.filter(({ bytes }) => bytes.length === 0);
  const isDivided = [...singles, ...surplus].some(({ sighting }) => sighting.gsoSize > 0);
  return [...missingBytes(unmatched, left), ...(isDivided ? fewer(singles, surplus) : singles)];
}

function keyOf({ fingerprint, gsoSize }: Sighting): string {
  return `${fingerprint} ${gsoSize}`;
}

function isWhole({ sighting, packets }: Part): boolean {
  return packets === sighting.packets;
}

function missingBytes(wanted: readonly Part[], later: readonly Part[]): Part[] {
  const all = wanted.filter(({ bytes }) => bytes.length > 0);
  const rangesOf = (parts: readonly Part[]) => parts.flatMap(({ bytes }) => bytes);
  const coverage = new ByteCoverage(rangesOf(later), rangesOf(all));
  return all.flatMap(({ sighting, bytes: asked }): Part[] => {
    const bytes = asked.flatMap((range) => coverage.take(range));
    return bytes.length === 0 ? [] : [{ sighting, bytes, packets: segmentsWith(bytes, sighting) }];
  });
}

/** Segments of a packet that have one of these bytes. */
function segmentsWith(bytes: readonly ByteRange[], { gsoSize, packets, headers }: Sighting): number {
  if (gsoSize === 0) {
    return 1;
  }
  // Sequence numbers and unwrapped ones are the same in their lowest 32 bits.
  const offset = (at: number) => (at - headers.tcp!.sequence) >>> 0;
  let count = 0;
  // Ranges ascend, so segments before this one are counted.
  let behind = 0;
  for (const { start, end } of bytes) {
    const first = Math.max(behind, Math.floor(offset(start) / gsoSize));
    behind = Math.max(first, Math.ceil((offset(start) + (end - start)) / gsoSize));
    count += behind - first;
  }
  return Math.min(count, packets);
}

/**
 * Super-packets without bytes of a stream, as those of UDP: only how many there were is compared.
 * Which ones are missing is not known. `wanted` begins with those that are least likely to be.
 */
function fewer(wanted: readonly Part[], later: readonly Part[]): Part[] {
  const missing: Part[] = [];
  let less = wireCount(wanted) - wireCount(later);
  for (const one of wanted.toReversed()) {
    if (less <= 0) {
      break;
    }
    const packets = Math.min(less, one.packets);
    missing.push({ ...one, packets });
    less -= packets;
  }
  return missing;
}
