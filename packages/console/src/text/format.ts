/**
 * Numbers, amounts, rates and times as they are shown. What is not known is not a number, and is
 * said by the caller.
 */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P'];

/** `4,100`. */
export function number(value: number): string {
  return whole.format(value);
}

/** Three digits and a prefix of a thousand: `12.3 k`. */
function scaled(value: number): { digits: string; prefix: string } {
  let at = 0;
  let rest = value;
  while (Math.abs(rest) >= 999.5 && at < PREFIXES.length - 1) {
    rest /= 1000;
    at += 1;
  }
  return { digits: three.format(rest), prefix: PREFIXES[at]! };
}

/** `310 Mbit/s`. */
export function bitRate(bitsPerSecond: number): string {
  const { digits, prefix } = scaled(bitsPerSecond);
  return `${digits} ${prefix}bit/s`;
}

/** `12.3 k/s`: packets a second, beside a heading that says of what. */
export function packetRate(packetsPerSecond: number): string {
  const { digits, prefix } = scaled(packetsPerSecond);
  return prefix === '' ? `${digits}/s` : `${digits} ${prefix}/s`;
}

/** `12.3 %`: of a share from 0 to 1. */
export function percent(share: number): string {
  return `${three.format(100 * share)} %`;
}

/** `1.52 GB`: thousands, not 1024. */
export function byteAmount(bytes: number): string {
  const { digits, prefix } = scaled(bytes);
  return `${digits} ${prefix}B`;
}

/** `2026-01-31 12:00:03 UTC`. */
export function dateTime(iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** `12:00:03`, UTC. */
export function clockTime(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** `12:00:03.123456`, UTC, of microseconds since 1970. */
export function microTime(at: number): string {
  const seconds = Math.floor(at / 1e6);
  return `${clockTime(seconds * 1000)}.${String(at % 1e6).padStart(6, '0')}`;
}

/** `100, 200-299`, as a switch writes a list of VLAN IDs. */
export function ranges(numbers: readonly number[]): string {
  const found: [first: number, last: number][] = [];
  for (const value of [...numbers].sort((a, b) => a - b)) {
    const range = found.at(-1);
    if (range && value <= range[1] + 1) {
      range[1] = value;
    } else {
      found.push([value, value]);
    }
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
}

/**
 * The numbers of `100, 200-299`; undefined where it is no such list, or a number is outside 1 to
 * 4094.
 */
export function parseRanges(text: string): number[] | undefined {
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last] = /^\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last ?? first)];
    if (first === undefined || from < 1 || to > 4094 || to < from) {
      return undefined;
    }
    for (let value = from; value <= to; value += 1) {
      found.add(value);
    }
  }
  return [...found].sort((a, b) => a - b);
}
