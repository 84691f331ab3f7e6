/** `delete` of every noun. */
import type { Context } from '../context.ts';
import { showOutcomes } from '../output/render.ts';
import { type Kind, pathOf } from '../resources.ts';
import { each } from './several.ts';

/** Deletes resources one after the other. */
export async function deleteSeveral(
  context: Context,
  kind: Kind,
  names: readonly string[],
  dryRun: boolean,
): Promise<void> {
  await each(context, names, showOutcomes, async (name) => {
    await context.client.request('DELETE', pathOf(kind, name), { dryRun });
    return { kind, name, result: 'deleted', dryRun };
  });
}
