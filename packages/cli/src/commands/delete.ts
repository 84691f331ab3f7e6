/** `delete` of every noun. */
import type { Node } from '@mirrorplane/contract';
import type { Context } from '../context.ts';
import { showOutcomes } from '../output/render.ts';
import { type Kind, pathOf, RESOURCES } from '../resources.ts';
import { each } from './several.ts';

/** Milliseconds that nodes get to confirm a deletion before the command names those that have not. */
const CONFIRMATION_MS = 2000;

/** Says which nodes have not confirmed that they stopped copying for a deleted policy. */
async function noteEnding(context: Context, policy: string): Promise<void> {
  const end = performance.now() + CONFIRMATION_MS;
  for (;;) {
    const { body } = await context.client.request<{ items: Node[] }>('GET', RESOURCES.Node.path);
    const nodes = body.items.filter(({ ending }) => ending?.includes(policy)).map(({ name }) => name);
    if (nodes.length === 0) return;
    if (performance.now() > end) {
      context.note(`warning: ${nodes.join(', ')} may still copy for ${policy}: not confirmed yet; see "node show"\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Deletes resources one after the other. */
export async function deleteSeveral(
  context: Context,
  kind: Kind,
  names: readonly string[],
  dryRun: boolean,
): Promise<void> {
  await each(context, names, showOutcomes, async (name) => {
    await context.client.request('DELETE', pathOf(kind, name), { dryRun });
    if (kind === 'Policy' && !dryRun) await noteEnding(context, name);
    return { kind, name, result: 'deleted', dryRun };
  });
}
