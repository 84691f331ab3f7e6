/** `mirrorplane auth …`: who may do what. */
import type { Command } from 'commander';
import { addWhoami } from './whoami.ts';

/** Adds the noun `auth`. */
export function addAuthCommands(program: Command): void {
  const auth = program.command('auth').description('who may do what: rights, roles, and yourself');
  addWhoami(auth);
}
