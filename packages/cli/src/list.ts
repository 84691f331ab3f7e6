/** `--sort` of commands that print a list. */
import type { Command } from 'commander';
import { CliError } from './exit.ts';

/** The value of `--sort`. */
export interface SortOptions {
  sort?: string;
}

/** Adds `--sort`. */
export function addSort(command: Command): Command {
  return command.option(
    '--sort <field>',
    'sort by a field of the "-o json" output, for example pool or underlay.mtu; "-" before the field: largest first',
  );
}

/**
 * A list sorted by a field. Items without the field come last.
 * @param by path of the field, with "-" before it for the opposite order. Undefined: unsorted
 * @throws CliError (usage) if no item has the field
 */
export function sorted<T extends { items: readonly object[] }>(list: T, by: string | undefined): T {
  if (by === undefined || list.items.length === 0) {
    return list;
  }
  const factor = by.startsWith('-') ? -1 : 1;
  const path = by.replace(/^-/, '').split('.');
  const keyed = list.items.map((item) => ({ item, key: keyOf(item, path) }));
  if (keyed.every(({ key }) => key === undefined)) {
    const known = [...new Set(list.items.flatMap((item) => Object.keys(item)))].join(', ');
    throw new CliError('usage', `nothing here has a field "${path.join('.')}" to sort by: use one of ${known}`);
  }
  keyed.sort((a, b) => {
    if (a.key === undefined || b.key === undefined) {
      return Number(a.key === undefined) - Number(b.key === undefined);
    }
    return factor * order(a.key, b.key);
  });
  return { ...list, items: keyed.map(({ item }) => item) };
}

type Key = string | number;

/** The sort key: of a list its length, of a traffic count its packets. */
function keyOf(item: object, path: readonly string[]): Key | undefined {
  let value: unknown = item;
  for (const part of path) {
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, part) ? Reflect.get(value, part) : undefined;
  }
  if (Array.isArray(value)) {
    return value.length;
  }
  if (typeof value === 'object' && value !== null) {
    return (value as { packets?: number }).packets;
  }
  if (typeof value === 'boolean') {
    return Number(value);
  }
  return typeof value === 'string' || typeof value === 'number' ? value : undefined;
}

function order(a: Key, b: Key): number {
  if (typeof a === 'number' && typeof b === 'number') {
    return a - b;
  }
  // node-2 before node-10.
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}
