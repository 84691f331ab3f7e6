/** Commands that create a resource, or change it where it exists. */

import { getIfThere } from '../client.ts';
import { compare } from '../compare.ts';
import type { Context } from '../context.ts';
import { show, withKind } from '../output/render.ts';
import { type Kind, pathOf } from '../resources.ts';

/**
 * Puts a resource, and prints the outcome.
 * @param created word for a new resource. Default `created`
 */
export async function putResource(
  context: Context,
  kind: Kind,
  name: string,
  body: object,
  dryRun = false,
  created = 'created',
): Promise<void> {
  const path = pathOf(kind, name);
  const before = await getIfThere<object>(context.client, path);
  const answer = await context.client.request<object>('PUT', path, { body, dryRun });
  const result = compare(kind, before?.body, answer.body);
  const word = result === 'created' ? created : result;
  const would = dryRun && result !== 'unchanged' ? 'would be ' : '';
  show(context, withKind(kind, answer.body), () => `${kind.toLowerCase()} ${name} ${would}${word}\n`);
}
