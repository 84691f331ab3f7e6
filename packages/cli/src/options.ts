/**
 * Parses option values. A wrong value is a usage error. The controller checks the rules of a
 * policy.
 */
import { InvalidArgumentError } from 'commander';
import { parseVlanList, VlanListError } from './vlans.ts';

/**
 * Collects ids from repeated options, from several values of one option, and from lists with
 * commas.
 */
export function collectIds(value: string, before: string[] | undefined): string[] {
  const ids = value.split(',').map((id) => id.trim());
  if (ids.includes('')) {
    throw new InvalidArgumentError('an id is empty.');
  }
  return [...(before ?? []), ...ids];
}

/** Collects labels, `key=value` each. */
export function collectLabels(value: string, before: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at <= 0 || at === value.length - 1) {
    throw new InvalidArgumentError('write a label as key=value.');
  }
  return { ...before, [value.slice(0, at)]: value.slice(at + 1) };
}

/** A decimal number. */
export function number(value: string): number {
  if (!/^[-+]?(\d+\.?\d*|\.\d+)$/.test(value.trim())) {
    throw new InvalidArgumentError('this is not a number.');
  }
  return Number(value);
}

/** A number, or the word `none`. */
export function numberOrNone(value: string): number | 'none' {
  return value === 'none' ? 'none' : number(value);
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A span of time in seconds: `30s`, `2m`. */
export function span(value: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(value) ?? [];
  if (unit === undefined) {
    throw new InvalidArgumentError('use a number and a unit, such as 30s or 2m.');
  }
  return Number(count) * SECONDS[unit]!;
}

/** A moment, as ISO 8601 in UTC. Reads an age such as `10m`, or a time of ISO 8601. */
export function moment(value: string): string {
  const ago = /^(\d{1,6})([smhd])$/.exec(value);
  const time = ago
    ? Date.now() - Number(ago[1]) * SECONDS[ago[2]!]! * 1000
    : /^\d{4}-\d\d-\d\d(T.*)?$/.test(value)
      ? Date.parse(value)
      : Number.NaN;
  if (Number.isNaN(time)) {
    throw new InvalidArgumentError('use an age such as 10m, 2h or 1d, or a time such as 2026-01-31T12:00:00Z.');
  }
  return new Date(time).toISOString();
}

/** A whole number from 1 to `most`. */
export function integerUpTo(most: number): (value: string) => number {
  return (value) => {
    const read = /^\d{1,9}$/.test(value) ? Number(value) : 0;
    if (read < 1 || read > most) {
      throw new InvalidArgumentError(`use a whole number from 1 to ${most}.`);
    }
    return read;
  };
}

/** A whole number of at least 1. */
export function positiveInteger(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) {
    throw new InvalidArgumentError('use a whole number of at least 1.');
  }
  return Number(value);
}

/** A list of VLAN IDs, as in `100,200-210`. */
export function vlanList(value: string): number[] {
  try {
    return parseVlanList(value);
  } catch (error) {
    if (error instanceof VlanListError) {
      throw new InvalidArgumentError(`${error.message}.`);
    }
    throw error;
  }
}
