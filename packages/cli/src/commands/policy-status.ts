/** `policy status`: state, reasons and counters of a policy. */
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { EXIT_CODES } from '../exit.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { positiveInteger } from '../options.ts';
import { statusTable, statusText } from '../output/status.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { showWatched, type WatchOptions } from '../watch.ts';

interface StatusOptions extends WatchOptions, SortOptions {
  exitCode?: boolean;
}

/** Adds `policy status`. */
export function addPolicyStatus(policy: Command): void {
  addSort(policy.command('status'))
    .description('show counters, and why a policy is not active: all policies, or one policy in full')
    .argument('[name]')
    .option('--watch', 'read every second and print the changes, until Ctrl-C')
    .option('--count <number>', 'watch, and stop after this number of readings', positiveInteger)
    .option('--exit-code', `exit with ${EXIT_CODES.notActive.code} if a policy is not active`)
    .action(async (name: string | undefined, options: StatusOptions, command: Command) => {
      const context = contextOf(command);
      let states: string[];
      if (name === undefined) {
        const path = `${RESOURCES.Policy.path}/status`;
        const read = async () => sorted(await context.client.list<PolicyStatus>(path), options.sort);
        const data = await showWatched(context, options, read, ({ items }) => statusTable(items, context.color));
        states = data.items.map((status) => status.state);
      } else {
        const path = `${pathOf('Policy', name)}/status`;
        const read = async () => (await context.client.request<PolicyStatus>('GET', path)).body;
        const data = await showWatched(context, options, read, (status) => statusText(status, context.color));
        states = [data.state];
      }
      if (options.exitCode && states.some((state) => state !== 'active')) {
        process.exitCode = EXIT_CODES.notActive.code;
      }
    });
}
