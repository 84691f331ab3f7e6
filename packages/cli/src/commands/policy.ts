/** `mirrorplane policy …`, apart from `edit` and `status`, which have files of their own. */
import type { Policy } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { noteForecast } from '../forecast.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { collectIds, number, positiveInteger, span } from '../options.ts';
import { policyFields, policyTable } from '../output/policy.ts';
import { show, showOutcomes, withKind } from '../output/render.ts';
import { noteEnding } from '../remove.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { noteWarnings } from '../warnings.ts';
import { showWatched, type WatchOptions } from '../watch.ts';
import { addApplyCommand } from './apply.ts';
import { deleteSeveral } from './delete.ts';
import { addDiffCommand } from './diff.ts';
import { addPolicyConsent, waitingOf } from './policy-consent.ts';
import { addPolicyEdit } from './policy-edit.ts';
import { addPolicyStatus } from './policy-status.ts';
import { addPolicyTest } from './policy-test.ts';
import { each } from './several.ts';

interface CreateOptions {
  source: string[];
  destination: string;
  direction?: string;
  percent?: number;
  vlanId?: number;
  maxRate?: number;
  allowFeedback?: boolean;
  disabled?: boolean;
  for?: number;
  until?: string;
  description?: string;
  dryRun?: boolean;
}

/** Adds the noun `policy`. */
export function addPolicyCommands(program: Command): void {
  const policy = program
    .command('policy')
    .description('mirror policies: which traffic is copied, and which interface receives it');

  addCreate(policy);
  addApplyCommand(policy, 'Policy');
  addDiffCommand(policy, 'Policy');

  addSort(policy.command('list'))
    .description('list the mirror policies')
    .option('--watch', 'read every second and print the changes, until Ctrl-C')
    .option('--count <number>', 'watch, and stop after this number of readings', positiveInteger)
    .action(async (options: WatchOptions & SortOptions, command: Command) => {
      const context = contextOf(command);
      const read = async () =>
        sorted(withKind('Policy', await context.client.list<Policy>(RESOURCES.Policy.path)), options.sort);
      await showWatched(context, options, read, (data) => policyTable(data.items, context.color, context.wide));
    });

  policy
    .command('show')
    .description('show one mirror policy')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Policy>('GET', pathOf('Policy', name));
      show(context, withKind('Policy', body), () => policyFields(body, context.color));
    });

  addPolicyStatus(policy);
  addPolicyTest(policy);
  addSwitch(policy, 'enable', true);
  addSwitch(policy, 'disable', false);
  addPolicyEdit(policy);
  addPolicyConsent(policy);

  policy
    .command('delete')
    .description('delete mirror policies; copying ends, and the original traffic is not affected')
    .argument('<names...>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (names: string[], options: { dryRun?: boolean }, command: Command) => {
      await deleteSeveral(contextOf(command), 'Policy', names, options.dryRun ?? false);
    });
}

function addCreate(policy: Command): void {
  policy
    .command('create')
    .description('create a mirror policy')
    .argument('<name>', 'unique name: 1 to 63 lower-case letters, digits and hyphens')
    .requiredOption(
      '--source <id...>',
      'interfaces whose traffic is copied: 1 to 1024 ids, separated by spaces',
      collectIds,
    )
    .requiredOption('--destination <id>', 'the interface that receives the copies')
    .option('--direction <direction>', 'all, inbound (received by the source) or outbound (sent by it); default all')
    .option('--percent <number>', 'percentage of packets that is copied, 0 to 100, two decimals; default 100', number)
    .option('--vlan-id <id>', '802.1Q tag of the copies, 1 to 4094; required if the destination is an edge', number)
    .option('--max-rate <mbit>', 'budget of each node for copies of this policy, Mbit/s; default: no limit', number)
    .option('--allow-feedback', 'allow the destination to send on copies, which have source addresses of other guests')
    .option('--description <text>', 'free text for other operators')
    .option('--disabled', 'create the policy switched off')
    .option('--for <span>', 'end automatically after this time, for example 8h', span)
    .option('--until <time>', 'end automatically at this time of ISO 8601')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      await create(contextOf(command), name, options);
    });
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const { source, disabled, dryRun, for: seconds, until, ...rest } = options;
  const endsAt = endOf(seconds, until);
  const body = { name, sources: source, ...rest, ...(endsAt && { endsAt }), ...(disabled ? { enabled: false } : {}) };
  const answer = await context.client.request<Policy>('POST', RESOURCES.Policy.path, { body, dryRun });
  noteWarnings(context, answer.body);
  if (dryRun) {
    await noteForecast(context, body);
  }
  show(
    context,
    withKind('Policy', answer.body),
    () => `policy ${name} ${dryRun ? 'would be created' : 'created'}${waitsText(answer.body)}\n`,
  );
}

/** The end of a policy. Undefined: it does not end automatically. */
export function endOf(seconds: number | undefined, until: string | undefined): string | undefined {
  if (seconds !== undefined && until !== undefined) {
    throw new CliError('usage', 'give either --for or --until');
  }
  return seconds === undefined ? until : new Date(Date.now() + seconds * 1000).toISOString();
}

function waitsText(policy: Policy): string {
  const waits = waitingOf(policy);
  return waits === undefined ? '' : `; it waits for ${waits}`;
}

function addSwitch(policy: Command, verb: 'enable' | 'disable', enabled: boolean): void {
  policy
    .command(verb)
    .description(enabled ? 'switch mirror policies on' : 'switch mirror policies off without deleting them')
    .argument('<names...>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (names: string[], options: { dryRun?: boolean }, command: Command) => {
      const context = contextOf(command);
      const dryRun = options.dryRun ?? false;
      await each(context, names, showOutcomes, async (name) => {
        const path = pathOf('Policy', name);
        const before = await context.client.request<Policy>('GET', path);
        if (before.body.enabled === enabled) {
          return { kind: 'Policy', name, result: 'unchanged', dryRun };
        }
        const contentType = 'application/merge-patch+json';
        const { body } = await context.client.request<Policy>('PATCH', path, {
          body: { enabled },
          contentType,
          dryRun,
        });
        noteWarnings(context, body);
        if (!enabled && !dryRun) {
          await noteEnding(context, name);
        }
        return { kind: 'Policy', name, result: enabled ? 'enabled' : 'disabled', dryRun };
      });
    });
}
