/** How a daemon ends after wrong usage. */
import type { CommanderError } from 'commander';

/** For `command.exitOverride`: exit code 0 after help and version, 2 after wrong usage. */
export function exitForUsage({ exitCode }: CommanderError): never {
  process.exit(exitCode === 0 ? 0 : 2);
}
