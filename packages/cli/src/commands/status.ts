/** `mirrorplane status`: the cluster in one view. */
import type { ClusterStatus } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { EXIT_CODES } from '../exit.ts';
import { positiveInteger } from '../options.ts';
import { clusterText } from '../output/cluster.ts';
import { showWatched, type WatchOptions } from '../watch.ts';

/** Adds `status`. */
export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('show the cluster in one view: controllers and who leads, store, nodes, policies, and problems')
    .option('--watch', 'read every second and print the changes, until Ctrl-C')
    .option('--count <number>', 'watch, and stop after this number of readings', positiveInteger)
    .option('--exit-code', `exit with ${EXIT_CODES.notActive.code} if there is a problem`)
    .action(async (options: WatchOptions & { exitCode?: boolean }, command: Command) => {
      const context = contextOf(command);
      const read = async () => (await context.client.request<ClusterStatus>('GET', '/status')).body;
      const { problemCount } = await showWatched(context, options, read, (status) =>
        clusterText(status, context.color),
      );
      if (options.exitCode && problemCount > 0) {
        process.exitCode = EXIT_CODES.notActive.code;
      }
    });
}
