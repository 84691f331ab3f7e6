/** Deletes a resource, and names nodes that may still copy for a deleted policy. */
import type { Node } from '@mirrorplane/contract';
import type { Context } from './context.ts';
import { type Kind, pathOf, RESOURCES } from './resources.ts';

/**
 * Milliseconds that nodes have to confirm a deletion. Then the command names the nodes that have
 * not.
 */
const CONFIRMATION_MS = 2000;

/** Deletes one resource. @param query of the request. @throws the error of the controller */
export async function remove(
  context: Context,
  kind: Kind,
  name: string,
  dryRun: boolean,
  query?: Record<string, string>,
): Promise<void> {
  await context.client.request('DELETE', pathOf(kind, name), { dryRun, ...(query && { query }) });
  if (kind === 'Policy' && !dryRun) {
    await noteEnding(context, name);
  }
}

/**
 * Prints the nodes that have not confirmed that they stopped copying for a deleted or disabled
 * policy.
 */
export async function noteEnding(context: Context, policy: string): Promise<void> {
  const end = performance.now() + CONFIRMATION_MS;
  for (;;) {
    const { items } = await context.client.list<Node>(RESOURCES.Node.path);
    const nodes = items.filter(({ ending }) => ending?.includes(policy)).map(({ name }) => name);
    if (nodes.length === 0) {
      return;
    }
    if (performance.now() > end) {
      context.note(`warning: ${nodes.join(', ')} may still copy for ${policy}: not confirmed yet; see "node show"\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
