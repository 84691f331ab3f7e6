/** Errors as text for stderr. */

import { printable } from '@mirrorplane/base';
import type { Problem } from '@mirrorplane/contract';
import { CommanderError } from 'commander';
import { ProblemError } from '../client.ts';
import { CliError, EXIT_CODES, type Exit } from '../exit.ts';

const WORDS: Partial<Record<Exit, string>> = {
  refused: 'refused',
  notFound: 'not found',
  conflict: 'conflict',
  denied: 'not allowed',
  unavailable: 'unavailable',
};

/** A problem document: one line for every refusal, or one line if it lists none. */
export async function problemText(error: ProblemError): Promise<string> {
  const word = WORDS[error.exit] ?? 'error';
  const { problem } = error;
  if (problem.errors.length > 0) {
    return problem.errors
      .map((refusal) => {
        const field = refusal.field === '' ? '' : ` (${refusal.field})`;
        return `${word}: ${printable(`${refusal.code}${field}: ${refusal.message}`)}\n`;
      })
      .join('');
  }
  const remedy = await remedyOf(problem);
  return `${word}: ${printable(`${problem.code}: ${problem.detail}`)}${remedy === undefined ? '' : `\n  ${remedy}`}\n`;
}

/** Any error as text. With MIRRORPLANE_DEBUG, unexpected errors have their stack. */
export async function errorText(error: unknown): Promise<string> {
  if (error instanceof ProblemError) {
    return problemText(error);
  }
  if (error instanceof CliError) {
    return `error: ${error.message.replaceAll('\n', '\n  ')}\n`;
  }
  if (error instanceof Error) {
    return `error: ${(process.env.MIRRORPLANE_DEBUG ? error.stack : undefined) ?? error.message}\n`;
  }
  return `error: ${String(error)}\n`;
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) {
    return EXIT_CODES[error.exit].code;
  }
  if (error instanceof CommanderError) {
    // Help and version are no errors if the user asked for them. Help for a missing command is an
    // error.
    return error.exitCode === 0 ? EXIT_CODES.ok.code : EXIT_CODES.usage.code;
  }
  return EXIT_CODES.unexpected.code;
}

/** Whether a message has the form "problem: remedy". Its remedy is more exact than that of the catalogue. */
export function hasRemedy(message: string): boolean {
  return message.includes(': ');
}

/** The catalogue is loaded only here, because loading its schemas takes longer than a command. */
async function remedyOf(problem: Problem): Promise<string | undefined> {
  if (hasRemedy(problem.detail)) {
    return undefined;
  }
  const { CATALOGUE } = await import('@mirrorplane/contract/errors');
  const entry = Object.hasOwn(CATALOGUE, problem.code) ? CATALOGUE[problem.code as keyof typeof CATALOGUE] : undefined;
  return entry?.remedy;
}
