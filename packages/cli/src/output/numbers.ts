/** Numbers as operators read them. An unknown number is written `unknown`, never 0. */
import type { Count } from '@mirrorplane/contract';

export const UNKNOWN = 'unknown';

/** Packets of a count. */
export function packets(count: Count | null | undefined): string {
  return count ? String(count.packets) : UNKNOWN;
}

/** Bytes of a count, for people. */
export function bytesOf(count: Count | null | undefined): string {
  return count ? humanBytes(count.bytes) : UNKNOWN;
}

/**
 * Bytes with a decimal unit and three figures, as in `1.23 MB`; below 1000 exactly, as in `98 B`.
 */
export function humanBytes(bytes: number): string {
  return human(bytes, ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']);
}

/** Bits a second, as in `310 Mbit/s`. */
export function humanBits(bitsPerSecond: number): string {
  return human(Math.round(bitsPerSecond), ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
}

function human(amount: number, units: readonly string[]): string {
  let value = amount;
  let unit = 0;
  // With three figures, 999.5 would become 1000.
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) {
    return `${amount} ${units[0]}`;
  }
  const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A share in percent with one decimal, as in `12 %` or `0.3 %`; unknown where it is. */
export function percentOf(share: number | null): string {
  return share === null ? UNKNOWN : `${Math.round(share * 1000) / 10} %`;
}

/** How long ago a time (ISO 8601) was, as in `3 s ago`. */
export function ago(time: string | null | undefined, now = Date.now()): string {
  if (!time) {
    return 'never';
  }
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 120) {
    return `${seconds} s ago`;
  }
  if (seconds < 7200) {
    return `${Math.round(seconds / 60)} min ago`;
  }
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}
