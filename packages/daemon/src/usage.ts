/** How a daemon ends that is called in a wrong way. */
import type { CommanderError } from 'commander';

/** For `command.exitOverride`: ends the process with 0 after help and version, and with 2 where something is wrong. */
export function exitForUsage({ exitCode }: CommanderError): never {
  process.exit(exitCode === 0 ? 0 : 2);
}
