/** Lists: filtered, sorted, and a page at a time. */
import * as z from 'zod';
import { ProblemError, refuseField } from '../problems/problems.ts';
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

interface PageOptions<T> {
  revision: number;
  walks: Walks;
  /** Name of the user who reads. */
  holder: string;
  /**
   * How large an item is, in any unit, and how much of it one page may be. At least one item is on
   * each page.
   */
  size?: { of: (item: T) => number; most: number };
  /** The items are in the order of their keys. */
  isSorted?: boolean;
}

/** Where a page begins: behind a key, or at a place of a walk. */
type Place = { sort: string; after: string } | { sort: string; walk: string; at: number };

/**
 * One page of a list. What is created, deleted or changed between two pages moves no other item: in
 * the order of keys a page begins behind a key, and in any other order it goes on in the order that
 * the first page has found.
 * @throws ProblemError where the filter or `continue` is none
 */
export function pageOf<T>(
  all: Iterable<T>,
  spec: ListSpec<T>,
  { limit = Number.POSITIVE_INFINITY, continue: place, sort, filter }: PageRequest,
  options: PageOptions<T>,
): Page<T> {
  const at = place === undefined ? undefined : placeOf(place, sort);
  const isWanted = filterOf(spec, filter);
  const { revision, walks, holder } = options;
  const body = (items: T[], total: number, next: Place | undefined): Page<T> => {
    return { items, revision, total, ...(next && { continue: textOf(next) }) };
  };
  if (at && 'walk' in at) {
    const items = itemsOfWalk(all, spec, walks.keys(at.walk));
    const page = cut(items.slice(at.at), limit, options.size);
    const end = at.at + page.length;
    return body(present(page), present(items).length, end < items.length ? { ...at, at: end } : undefined);
  }
  const isByKey = sort.replace('-', '') === spec.keyName;
  const found = filter.trim() === '' ? [...all] : [...all].filter(isWanted);
  const wanted = isByKey && options.isSorted ? inOrder(found, sort) : sorted(found, spec, sort);
  const rest = at ? wanted.filter((item) => isBehind(spec.key(item), at.after, sort)) : wanted;
  const page = cut(rest, limit, options.size);
  if (page.length === rest.length) {
    return body(page, wanted.length, undefined);
  }
  const next = isByKey
    ? { sort, after: spec.key(page.at(-1)!) }
    : { sort, walk: walks.begin(wanted.map(spec.key), holder), at: page.length };
  return body(page, wanted.length, next);
}

function present<T>(items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}

/** What is there of the items of a walk, in its order; undefined where one has gone. */
function itemsOfWalk<T>(
  all: Iterable<T>,
  { key }: ListSpec<T>,
  keys: readonly string[] | undefined,
): (T | undefined)[] {
  if (!keys) {
    throw new ProblemError('LIST_EXPIRED', 'the list was begun too long ago: read it again from its first page');
  }
  const found = new Map([...all].map((item) => [key(item), item]));
  return keys.map((one) => found.get(one));
}

/** As many items as one page may have. */
function cut<T>(items: T[], limit: number, size: PageOptions<NonNullable<T>>['size']): T[] {
  let sum = 0;
  const end = items.findIndex((item, index) => {
    sum += size && item !== undefined ? size.of(item as NonNullable<T>) : 0;
    return index >= limit || (index > 0 && size !== undefined && sum > size.most);
  });
  return end < 0 ? items : items.slice(0, end);
}

/**
 * In the order of a field, and of the keys where it is the same. What an item is sorted by is asked
 * for once.
 */
function sorted<T>(items: T[], { keyName, key, sort }: ListSpec<T>, by: string): T[] {
  const factor = by.startsWith('-') ? -1 : 1;
  const field = by.replace(/^-/, '');
  const byKey = (a: T, b: T) => (key(a) < key(b) ? -1 : 1);
  const value = sort[field];
  if (field === keyName || !value) {
    return items.sort((a, b) => factor * byKey(a, b));
  }
  const valued = items.map((item) => ({ item, value: value(item) ?? undefined }));
  valued.sort(({ item: a, value: x }, { item: b, value: y }) => {
    if (x === undefined || y === undefined) {
      return x === y ? byKey(a, b) : x === undefined ? 1 : -1;
    }
    return x === y ? byKey(a, b) : factor * (x < y ? -1 : 1);
  });
  return valued.map(({ item }) => item);
}

/** @param sorted in the order of keys */
function inOrder<T>(sorted: T[], sort: string): T[] {
  return sort.startsWith('-') ? sorted.reverse() : sorted;
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
