/** What is asked of tracks: rates of this moment, sparklines, and whether the traffic is well. */
import {
  type Count,
  type DropReason,
  type PolicyStatus,
  type Rate,
  type Rates,
  SPARKLINE,
  TRAFFIC_CODES,
  type TrafficHealth,
} from '@mirrorplane/contract';
import type { Series } from './series.ts';
import type { Track } from './track.ts';

/** Seconds over which the rate of this moment is a mean, and over which the traffic is judged. */
const RATE_SECONDS = 5;
const HEALTH_SECONDS = 10;
/** Copies that gave way, as they were meant to. */
const THROTTLED: DropReason = 'overBudget';

/** The mean rate of the last seconds; null: not known. */
export function rateOf(track: Track | undefined, name: string): Rate {
  const packets = meanOf(track, name, RATE_SECONDS);
  const bytes = meanOf(track, `${name}:bytes`, RATE_SECONDS);
  return packets === null || bytes === null
    ? null
    : { packetsPerSecond: rounded(packets), bitsPerSecond: rounded(8 * bytes) };
}

/** The mean of one series over the last seconds; null: not known. */
export function rateNow(track: Track | undefined, name: string): number | null {
  const mean = meanOf(track, name, RATE_SECONDS);
  return mean === null ? null : rounded(mean);
}

/** Packets and bytes a second of one series, over the last seconds; null: not known. */
export function meanCount(track: Track | undefined, name: string, seconds: number): Count | null {
  const packets = meanOf(track, name, seconds);
  const bytes = meanOf(track, `${name}:bytes`, seconds);
  return packets === null || bytes === null ? null : { packets, bytes };
}

/** The rates of a policy. */
export function ratesOf(track: Track | undefined): Rates {
  const dropped = droppedOf(track, RATE_SECONDS);
  return {
    copied: rateOf(track, 'copied'),
    delivered: rateOf(track, 'delivered'),
    dropped: dropped && rounded(dropped.throttled + dropped.others),
    lost: rateNow(track, 'lost'),
  };
}

/** The rates of one path. */
export function hopRates(track: Track | undefined, { from, to }: { from: string; to: string }) {
  return {
    sent: rateOf(track, `sent ${from} ${to}`),
    arrived: rateOf(track, `arrived ${from} ${to}`),
    lost: rateNow(track, `lost ${from} ${to}`),
  };
}

/** The sum of rates; null where one is not known. */
export function sumOfRates(all: readonly Rates[]): Rates {
  const sum = (numbers: (number | null)[]) =>
    numbers.reduce<number | null>((a, b) => (a === null || b === null ? null : a + b), 0);
  const rate = (name: 'copied' | 'delivered'): Rate => {
    const packetsPerSecond = sum(all.map((one) => one[name]?.packetsPerSecond ?? null));
    const bitsPerSecond = sum(all.map((one) => one[name]?.bitsPerSecond ?? null));
    return packetsPerSecond === null || bitsPerSecond === null ? null : { packetsPerSecond, bitsPerSecond };
  };
  return {
    copied: rate('copied'),
    delivered: rate('delivered'),
    dropped: sum(all.map(({ dropped }) => dropped)),
    lost: sum(all.map(({ lost }) => lost)),
  };
}

/**
 * Bits a second over the last minutes, oldest first. The points begin at round times, so that they
 * change seldom.
 */
export function sparklineOf(track: Track | undefined, name: string): (number | null)[] {
  const { points, step } = SPARKLINE;
  const end = Math.floor(((track?.last ?? 0) + 1) / step) * step;
  return Array.from({ length: points }, (_, at) => {
    const from = end - (points - at) * step;
    const mean = track?.get(`${name}:bytes`).mean(from, from + step) ?? null;
    return mean === null ? null : rounded(8 * mean);
  });
}

/** How the traffic of a policy is doing. */
export function healthOf(track: Track | undefined, { reasons }: Pick<PolicyStatus, 'reasons'>): TrafficHealth {
  return { state: healthState(track), reasons: reasons.filter(({ code }) => TRAFFIC_CODES.has(code)).slice(0, 4) };
}

function healthState(track: Track | undefined): TrafficHealth['state'] {
  const matched = meanOf(track, 'matched', HEALTH_SECONDS);
  const dropped = droppedOf(track, HEALTH_SECONDS);
  if (matched === null || dropped === null) {
    return 'unknown';
  }
  if (dropped.others > 0 || (meanOf(track, 'lost', HEALTH_SECONDS) ?? 0) > 0) {
    return 'losing';
  }
  return dropped.throttled > 0 ? 'throttled' : matched > 0 ? 'ok' : 'idle';
}

function droppedOf(track: Track | undefined, seconds: number): { throttled: number; others: number } | null {
  if (track === undefined || meanOf(track, 'copied', seconds) === null) {
    return null;
  }
  const sums = { throttled: 0, others: 0 };
  for (const name of track.names()) {
    const [what, reason] = name.split(' ');
    if (what === 'dropped' && !name.includes(':')) {
      sums[reason === THROTTLED ? 'throttled' : 'others'] += meanOf(track, name, seconds) ?? 0;
    }
  }
  return sums;
}

function meanOf(track: Track | undefined, name: string, seconds: number): number | null {
  const series: Series | undefined = track?.get(name);
  return series?.mean(track!.last - seconds + 1, track!.last + 1) ?? null;
}

/** Rates are no exact numbers: a tenth of a packet says nothing. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
