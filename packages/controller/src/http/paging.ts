/** Lists: filtered, sorted, and a page at a time. */
import { atOnce, filteredInSteps, mappedInSteps, sortedInSteps } from '@mirrorplane/base';
import * as z from 'zod';
import { ProblemError, refuseField } from '../problems/problems.ts';
import { byRank } from '../summaries/kept-orders.ts';
import type { Walks } from '../summaries/walks.ts';
import { filterOf } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';

const limit = z.coerce.number().int().min(1).max(1000).optional().meta({
  description: 'Largest number of items, 1 to 1000. Default: all, but a page ends earlier where items are large.',
});

/** The parameters of a list. */
export function pageQuery<T>({ keyName, sort, filter }: ListSpec<T>) {
  const fields = [keyName, ...Object.keys(sort)].flatMap((field) => [field, `-${field}`]);
  const keys = Object.keys(filter).map((key) => `\`${key}:VALUE\``);
  return z.strictObject({
    limit,
    continue: z.string().max(512).optional().meta({
      description: '`continue` of the previous page. The other parameters have to stay the same.',
    }),
    sort: z
      .enum(fields as [string, ...string[]])
      .default(keyName)
      .meta({ description: 'Field to sort by. "-" before the field: largest first.' }),
    filter: z
      .string()
      .max(512)
      .default('')
      .meta({
        description:
          'Words that an item has to contain, all of them, in capital or small letters. ' +
          (keys.length > 0 ? `Also: ${keys.join(', ')}. ` : '') +
          'Words in double quotes are looked for as they are.',
      }),
  });
}

/** What a request asks of a list. */
export interface PageRequest {
  limit?: number | undefined;
  continue?: string | undefined;
  sort: string;
  filter: string;
}

/** The body of a list. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.object({
    items: z.array(item),
    revision: z.number().int().meta({ description: 'Store revision of the list.' }),
    total: z.number().int().meta({ description: 'Number of items of all pages.' }),
    continue: z
      .string()
      .optional()
      .meta({
        description:
          'Pass this value as `continue` to get the next page. Absent on the last page. Its form may change. ' +
          'A list that is sorted by another field than its key can be continued within ten minutes.',
      }),
  });
}

export interface Page<T> {
  items: T[];
  revision: number;
  total: number;
  continue?: string;
}

/** What is the same for all lists. @param who who reads */
export function listOptions({ view, walks }: { view: { revision: number }; walks: Walks }, who: { name: string }) {
  return { revision: view.revision, walks, holder: who.name };
}

/** How a list is read. */
export interface PageOptions<T> {
  revision: number;
  walks: Walks;
  /** Name of the user who reads. */
  holder: string;
  /**
   * How large an item is, in any unit, and how much of it one page may be. At least one item is on
   * each page.
   */
  size?: { of: (item: T) => number; most: number };
  /** The sort by which the items come already. */
  sortedBy?: string;
}

/** Where a page begins: behind a key, or at a place of a walk. */
type Place = { sort: string; after: string } | { sort: string; walk: string; at: number };

/**
 * One page of a list. What is created, deleted or changed between two pages moves no other item: in
 * the order of keys a page begins behind a key, and in any other order it goes on in the order that
 * the first page has found.
 * @throws ProblemError where the filter or `continue` is none
 */
export function pageOf<T>(all: Iterable<T>, spec: ListSpec<T>, request: PageRequest, options: PageOptions<T>): Page<T> {
  return atOnce(pageSteps(all, spec, request, options));
}

/**
 * The same in steps, for long lists. Who changes the items meanwhile changes the page.
 * @returns at its end
 */
export function* pageSteps<T>(
  all: Iterable<T>,
  spec: ListSpec<T>,
  { limit = Number.POSITIVE_INFINITY, continue: place, sort, filter }: PageRequest,
  { revision, walks, holder, size, sortedBy }: PageOptions<T>,
): Generator<undefined, Page<T>> {
  const at = place === undefined ? undefined : placeOf(place, sort);
  const isWanted = filterOf(spec, filter);
  const body = (items: T[], total: number, next: Place | undefined): Page<T> => {
    return { items, revision, total, ...(next && { continue: textOf(next) }) };
  };
  if (at && 'walk' in at) {
    const items = yield* itemsOfWalk(all, spec, walks.keys(at.walk));
    const page = cut(items.slice(at.at), limit, size);
    const end = at.at + page.length;
    return body(present(page), present(items).length, end < items.length ? { ...at, at: end } : undefined);
  }
  const isByKey = sort.replace('-', '') === spec.keyName;
  const isAll = filter.trim() === '';
  const found = !isAll ? yield* filteredInSteps(all, isWanted) : Array.isArray(all) ? (all as readonly T[]) : [...all];
  const wanted = yield* inOrder(found, spec, { sort, sortedBy });
  const begin = at ? placeBehind(wanted, spec, at.after, sort) : 0;
  const rest = begin === 0 ? wanted : wanted.slice(begin);
  const page = cut(rest, limit, size);
  if (page.length === rest.length) {
    return body(page, wanted.length, undefined);
  }
  const next = isByKey
    ? { sort, after: spec.key(page.at(-1)!) }
    : { sort, walk: walks.begin(yield* keysOf(wanted, spec, wanted === all), holder), at: page.length };
  return body(page, wanted.length, next);
}

function present<T>(items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}

/** What is there of the items of a walk, in its order; undefined where one has gone. */
function* itemsOfWalk<T>(
  all: Iterable<T>,
  { key }: ListSpec<T>,
  keys: readonly string[] | undefined,
): Generator<undefined, (T | undefined)[]> {
  if (!keys) {
    throw new ProblemError('LIST_EXPIRED', 'the list was begun too long ago: read it again from its first page');
  }
  const found = new Map<string, T>();
  for (const item of all) {
    found.set(key(item), item);
    if (found.size % 1024 === 0) {
      yield;
    }
  }
  return yield* mappedInSteps(keys, (one) => found.get(one));
}

/** Keys of lists that are kept from one reader to the next: all walks through one have the same ones. */
const keysOfKept = new WeakMap<readonly unknown[], readonly string[]>();

/** @param isKept whether the items are a list that may be kept, which is not changed then */
function* keysOf<T>(
  items: readonly T[],
  { key }: ListSpec<T>,
  isKept: boolean,
): Generator<undefined, readonly string[]> {
  const keys = (isKept ? keysOfKept.get(items) : undefined) ?? (yield* mappedInSteps(items, key));
  if (isKept) {
    keysOfKept.set(items, keys);
  }
  return keys;
}

/** As many items as one page may have. */
function cut<T>(items: readonly T[], limit: number, size: PageOptions<NonNullable<T>>['size']): T[] {
  let sum = 0;
  const end = items.findIndex((item, index) => {
    sum += size && item !== undefined ? size.of(item as NonNullable<T>) : 0;
    return index >= limit || (index > 0 && size !== undefined && sum > size.most);
  });
  return items.slice(0, end < 0 ? items.length : end);
}

interface Order {
  sort: string;
  sortedBy: string | undefined;
}

function* inOrder<T>(
  items: readonly T[],
  spec: ListSpec<T>,
  { sort, sortedBy }: Order,
): Generator<undefined, readonly T[]> {
  if (sortedBy === sort) {
    return items;
  }
  return sort === `-${spec.keyName}` && sortedBy === spec.keyName
    ? items.toReversed()
    : yield* sorted(items, spec, sort);
}

/**
 * In the order of a field, and of the keys where it is the same. What an item is sorted by is asked
 * for once.
 */
function* sorted<T>(items: readonly T[], { keyName, key, sort }: ListSpec<T>, by: string): Generator<undefined, T[]> {
  const value = sort[by.replace(/^-/, '')];
  const ranking = value && by.replace(/^-/, '') !== keyName ? value : key;
  const ranked = yield* mappedInSteps(items, (item) => ({ item, key: key(item), value: ranking(item) ?? undefined }));
  return (yield* sortedInSteps(ranked, byRank(by))).map(({ item }) => item);
}

/** Index of the first item behind a key, in a list in the order of keys. */
function placeBehind<T>(items: readonly T[], { key }: ListSpec<T>, after: string, sort: string): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBehind(key(items[middle]!), after, sort)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

function isBehind(key: string, after: string, sort: string): boolean {
  return sort.startsWith('-') ? key < after : key > after;
}

function textOf(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

const PlaceText = z.union([
  z.strictObject({ sort: z.string(), after: z.string() }),
  z.strictObject({ sort: z.string(), walk: z.string(), at: z.number().int().min(0) }),
]);

function placeOf(text: string, sort: string): Place {
  let place: unknown;
  try {
    place = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    // Refused below.
  }
  const read = PlaceText.safeParse(place);
  if (!read.success || textOf(read.data) !== text) {
    refuseField(
      'continue',
      '"continue" is not a position in a list: remove it, or send `continue` of the previous page',
    );
  }
  if (read.data.sort !== sort) {
    refuseField(
      'continue',
      `"continue" is of a list that is sorted by "${read.data.sort}": use the same "sort" for all pages`,
    );
  }
  return read.data;
}
