/** Commands that create a resource, or change it where it exists. */

import { getIfThere } from '../client.ts';
import { compare } from '../compare.ts';
import type { Context } from '../context.ts';
import { show, withKind } from '../output/render.ts';
import { type Kind, pathOf, specOf } from '../resources.ts';

/** What is to be put, from what was named and what the resource was. */
type Merge = (was: Record<string, unknown>) => object;

/**
 * Puts a resource, and prints the outcome. What is not named stays as it is. Fails if someone else
 * changes the resource meanwhile.
 * @param named the fields that were named, or what makes the whole of the fields before
 * @param created word for a new resource. Default `created`
 */
export async function putResource(
  context: Context,
  kind: Kind,
  name: string,
  named: object | Merge,
  dryRun = false,
  created = 'created',
): Promise<void> {
  const path = pathOf(kind, name);
  const before = await getIfThere<object>(context.client, path);
  const merge: Merge = typeof named === 'function' ? (named as Merge) : (was) => ({ ...was, ...named });
  // What agents report of an interface that nobody has declared is not said by anyone.
  const isDeclared = before !== undefined && (before.body as { declared?: boolean }).declared !== false;
  const body = merge(isDeclared ? specOf(kind, before.body) : {});
  const answer = await context.client.request<object>('PUT', path, { body, dryRun, ifMatch: before?.etag });
  const result = compare(kind, before?.body, answer.body);
  const word = result === 'created' ? created : result;
  const would = dryRun && result !== 'unchanged' ? 'would be ' : '';
  show(context, withKind(kind, answer.body), () => `${kind.toLowerCase()} ${name} ${would}${word}\n`);
}
