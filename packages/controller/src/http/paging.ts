/** Lists, complete or in pages. */
import * as z from 'zod';
import { ProblemError } from '../problems/problems.ts';

/** Query of every list. */
export const PAGE = {
  limit: z.coerce.number().int().min(1).max(1000).optional().meta({
    description: 'Largest number of items, 1 to 1000. Default: all.',
  }),
  after: z.string().max(512).optional().meta({
    description: 'The page begins after this position: `next` of the previous page.',
  }),
};
export const PageQuery = z.strictObject(PAGE);

/** The body of a list. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.object({
    items: z.array(item),
    revision: z.number().int().meta({ description: 'Store revision of the list.' }),
    next: z.string().optional().meta({
      description: 'Pass this value as `after` to get the next page. Absent on the last page. Its form may change.',
    }),
  });
}

/**
 * One page of a list, in order of keys. Items that are created or deleted between two pages do not
 * move others.
 * @param keyOf unique in the list
 * @throws ProblemError (FIELD_INVALID) if `after` is not from a `next`
 */
export function pageOf<T>(
  all: Iterable<T>,
  keyOf: (item: T) => string,
  { limit, after }: z.infer<typeof PageQuery>,
  revision: number,
): { items: T[]; revision: number; next?: string } {
  const behind = after === undefined ? undefined : keyAt(after);
  const items = [...all].filter((item) => behind === undefined || keyOf(item) > behind);
  items.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  if (limit === undefined || items.length <= limit) {
    return { items, revision };
  }
  const page = items.slice(0, limit);
  return { items: page, revision, next: placeOf(keyOf(page.at(-1)!)) };
}

function placeOf(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function keyAt(place: string): string {
  const key = Buffer.from(place, 'base64url').toString();
  if (placeOf(key) !== place) {
    const message = '"after" is not a position in a list: remove it, or send `next` of the previous page';
    throw new ProblemError('FIELD_INVALID', message, [{ code: 'FIELD_INVALID', field: 'after', message }]);
  }
  return key;
}
