/** What the commands of daemons have in common: switches, and how they end after wrong usage. */
import { type CommanderError, InvalidArgumentError } from 'commander';

/** For `command.exitOverride`: exit code 0 after help and version, 2 after wrong usage. */
export function exitForUsage({ exitCode }: CommanderError): never {
  process.exit(exitCode === 0 ? 0 : 2);
}

/** The value of a switch that can be set in a file too. @throws InvalidArgumentError for any other text */
export function yes(value: string): boolean {
  if (value !== 'true' && value !== 'false') {
    throw new InvalidArgumentError('use true or false.');
  }
  return value === 'true';
}
