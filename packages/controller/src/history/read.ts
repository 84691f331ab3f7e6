/** A track as the API gives it: lists of points. */
import { DROP_REASONS, type History } from '@mirrorplane/contract';
import { COARSE, FINE, type Series } from './series.ts';
import type { Track } from './track.ts';

/** What is asked for. Seconds since 1970. */
export interface Window {
  resolution: '1s' | '10s';
  from?: number | undefined;
  to?: number | undefined;
}

type Points = (number | null)[];

/** Reads points of series at the same times. */
class Reader {
  readonly #from: number;
  readonly #count: number;
  readonly #kept: typeof FINE;

  /** @param last the newest second that is known */
  constructor({ resolution, from = 0, to = Number.POSITIVE_INFINITY }: Window, last: number) {
    this.#kept = resolution === '1s' ? FINE : COARSE;
    const { step, points } = this.#kept;
    const newest = Math.floor(Math.min(last, to) / step);
    const oldest = Math.max(Math.floor(last / step) - points + 1, Math.floor(from / step));
    this.#from = Math.min(oldest, newest + 1) * step;
    this.#count = Math.max(0, newest - oldest + 1);
  }

  head(): Pick<History, 'from' | 'stepMs'> {
    return { from: new Date(this.#from * 1000).toISOString(), stepMs: this.#kept.step * 1000 };
  }

  points(series: Series | undefined, factor = 1): Points {
    return Array.from({ length: this.#count }, (_, at) => {
      const value = series?.at(this.#from + at * this.#kept.step, this.#kept) ?? null;
      return value === null ? null : Math.round(value * factor * 10) / 10;
    });
  }

  /** Packets and bits of the same thing. */
  both<P extends string>(
    track: Track | undefined,
    prefix: P,
    name: string,
  ): Record<`${P}${'Packets' | 'Bits'}`, Points> {
    const packets = this.points(track?.get(name));
    const bits = this.points(track?.get(`${name}:bytes`), 8);
    return { [`${prefix}Packets`]: packets, [`${prefix}Bits`]: bits } as Record<`${P}${'Packets' | 'Bits'}`, Points>;
  }
}

export function policyHistory(track: Track | undefined, window: Window, last: number): History {
  return historyOf(track, window, last, (reader) => ({
    lost: reader.points(track?.get('lost')),
    paths: pathsOf(track).map(({ from, to }) => ({
      ...{ from, to },
      ...reader.both(track, 'sent', `sent ${from} ${to}`),
      ...reader.both(track, 'arrived', `arrived ${from} ${to}`),
      lost: reader.points(track?.get(`lost ${from} ${to}`)),
    })),
  }));
}

export function nodeHistory(track: Track | undefined, window: Window, last: number): History {
  return historyOf(track, window, last, (reader) => ({
    ...reader.both(track, 'sent', 'sent'),
    ...reader.both(track, 'arrived', 'arrived'),
  }));
}

/** What was copied, delivered and dropped, and `more`. */
function historyOf(
  track: Track | undefined,
  window: Window,
  last: number,
  more: (reader: Reader) => Partial<History['series']>,
): History {
  const reader = new Reader(window, last);
  return {
    ...reader.head(),
    series: {
      ...reader.both(track, 'copied', 'copied'),
      ...reader.both(track, 'delivered', 'delivered'),
      dropped: droppedOf(track, reader),
      ...more(reader),
    },
    cut: track?.cut ?? false,
  };
}

/** What a destination got for all policies that end there. */
export function destinationHistory(tracks: readonly (Track | undefined)[], window: Window, last: number): History {
  const reader = new Reader(window, last);
  const all = tracks.map((track) => reader.both(track, 'delivered', 'delivered'));
  const none = reader.both(undefined, 'delivered', 'delivered');
  const sum = (name: keyof typeof none) =>
    all.length === 0 ? none[name] : all.map((one) => one[name]).reduce(addPoints);
  return {
    ...reader.head(),
    series: { deliveredPackets: sum('deliveredPackets'), deliveredBits: sum('deliveredBits') },
    cut: tracks.some((track) => track?.cut),
  };
}

/** The sum of two lists of points. What one does not know, is not known. */
export function addPoints(a: Points, b: Points): Points {
  return a.map((value, at) => (value === null || b[at] === null ? null : value + b[at]!));
}

function droppedOf(track: Track | undefined, reader: Reader): NonNullable<History['series']['dropped']> {
  const names = new Set(track?.names());
  const reasons = DROP_REASONS.filter((reason) => names.has(`dropped ${reason}`));
  return Object.fromEntries(reasons.map((reason) => [reason, reader.points(track!.get(`dropped ${reason}`))]));
}

/** The paths that have carried something. */
function pathsOf(track: Track | undefined): { from: string; to: string }[] {
  const sent = [...(track?.names() ?? [])].map((name) => /^sent ([^\s:]+) ([^\s:]+)$/.exec(name));
  const paths = sent.flatMap((match) => (match ? [{ from: match[1]!, to: match[2]! }] : []));
  return paths.sort((a, b) => (`${a.from} ${a.to}` < `${b.from} ${b.to}` ? -1 : 1));
}
