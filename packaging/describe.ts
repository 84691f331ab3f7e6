/** Descriptions of the commands, as the source of man pages and settings files. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { CommandDescription } from '@mirrorplane/daemon/settings-names';
import { ROOT } from './paths.ts';

/** All options of a daemon, as the daemon itself lists them. */
export function describeDaemon(part: 'agent' | 'controller'): CommandDescription {
  const main = join(ROOT, 'packages', part, 'src/main.ts');
  const argv = ['--disable-warning=ExperimentalWarning', main, '--describe-settings'];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8' }));
}
