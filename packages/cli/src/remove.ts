/** Deletes a resource, and says what may still be copied for a policy that is gone. */
import type { Node } from '@mirrorplane/contract';
import type { Context } from './context.ts';
import { type Kind, pathOf, RESOURCES } from './resources.ts';

/** Milliseconds that nodes get to confirm a deletion before the command names those that have not. */
const CONFIRMATION_MS = 2000;

/** Deletes one resource. @param query of the request. @throws whatever the controller answers */
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

/** Says which nodes have not confirmed that they stopped copying for a policy that was deleted or switched off. */
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
