/** `policy edit`: by flags, or as YAML in an editor. */
import type { Policy } from '@mirrorplane/contract';
import type { Command } from 'commander';
import type { Response } from '../client.ts';
import { type Context, contextOf } from '../context.ts';
import { editInEditor } from '../edit.ts';
import { CliError } from '../exit.ts';
import { collectIds, number, numberOrNone } from '../options.ts';
import { show, withKind } from '../output/render.ts';
import { pathOf } from '../resources.ts';
import { noteWarnings } from '../warnings.ts';

interface EditOptions {
  description?: string;
  source?: string[];
  addSource?: string[];
  removeSource?: string[];
  destination?: string;
  direction?: string;
  percent?: number;
  vlanId?: number | 'none';
  maxRate?: number | 'none';
  allowFeedback?: boolean;
  until?: string;
  dryRun?: boolean;
}

/** Adds `policy edit`. */
export function addPolicyEdit(policy: Command): void {
  policy
    .command('edit')
    .description('change a mirror policy: by options, or without options as YAML in $VISUAL or $EDITOR')
    .argument('<name>')
    .option('--source <id...>', 'new list of sources, in place of the present list', collectIds)
    .option('--add-source <id...>', 'sources to add', collectIds)
    .option('--remove-source <id...>', 'sources to remove', collectIds)
    .option('--destination <id>', 'the interface that receives the copies')
    .option('--direction <direction>', 'all, inbound or outbound')
    .option('--percent <number>', 'percentage of packets that is copied, 0 to 100, two decimals', number)
    .option('--vlan-id <id>', '802.1Q tag of the copies, 1 to 4094, or "none"', numberOrNone)
    .option('--max-rate <mbit>', 'budget of each node for copies of this policy, Mbit/s, or "none"', numberOrNone)
    .option('--allow-feedback', 'allow the destination to send on copies, which have source addresses of other guests')
    .option('--no-allow-feedback', 'drop copies that the destination sends on, at its port (default)')
    .option('--until <time>', 'end automatically at this time of ISO 8601, or "none"')
    .option('--description <text>', 'free text for other operators')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (name: string, options: EditOptions, command: Command) => {
      const context = contextOf(command);
      const before = await context.client.request<Policy>('GET', pathOf('Policy', name));
      const { dryRun = false, ...changes } = options;
      const after =
        Object.keys(changes).length > 0
          ? await patch(context, before, changes, dryRun)
          : await editInEditor(context, before, dryRun);
      if (after) {
        noteWarnings(context, after);
      }
      // A request that changes no field keeps the revision.
      const done = after === undefined || after.revision === before.body.revision ? 'unchanged' : 'changed';
      const word = dryRun && after !== undefined ? 'accepted; nothing changed in a dry run' : done;
      show(context, withKind('Policy', after ?? before.body), () => `policy ${name} ${word}\n`);
    });
}

async function patch(
  context: Context,
  before: Response<Policy>,
  options: Omit<EditOptions, 'dryRun'>,
  dryRun: boolean,
): Promise<Policy> {
  const { source, addSource = [], removeSource = [], until, ...fields } = options;
  const body: Record<string, unknown> = { ...fields };
  // In a merge patch, null removes a field.
  if (fields.vlanId === 'none') {
    body.vlanId = null;
  }
  if (until !== undefined) {
    body.endsAt = until === 'none' ? null : until;
  }
  if (fields.maxRate === 'none') {
    body.maxRate = null;
  }
  if (source || addSource.length > 0 || removeSource.length > 0) {
    body.sources = changedSources(source ?? before.body.sources, addSource, removeSource);
  }
  const answer = await context.client.request<Policy>('PATCH', pathOf('Policy', before.body.name), {
    body,
    contentType: 'application/merge-patch+json',
    ifMatch: before.etag,
    dryRun,
  });
  return answer.body;
}

function changedSources(sources: readonly string[], add: readonly string[], remove: readonly string[]): string[] {
  const missing = remove.filter((id) => !sources.includes(id));
  if (missing.length > 0) {
    throw new CliError('usage', `not among the sources: ${missing.join(', ')}`);
  }
  const kept = sources.filter((id) => !remove.includes(id));
  return [...kept, ...add.filter((id) => !kept.includes(id))];
}
