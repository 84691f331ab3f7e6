/** `mirrorplane version`. */
import type { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { contextOf } from '../context.ts';
import { show } from '../output/render.ts';

/** Version of Mirrorplane. */
export const VERSION: string = manifest.version;

/** Adds `version`. */
export function addVersionCommand(program: Command): void {
  program
    .command('version')
    .description('print the versions of this command and of Node.js')
    .action((_options: object, command: Command) => {
      const version = { mirrorplane: VERSION, node: process.version };
      show(contextOf(command), version, () => `mirrorplane ${VERSION} (Node.js ${process.version})\n`);
    });
}
