/** Entry of the `mirrorplane` command. */

import { type Command, CommanderError } from 'commander';
import { ProblemError } from './client.ts';
import { EXIT_CODES } from './exit.ts';
import { errorText, exitCodeOf } from './output/errors.ts';
import { inWordsOf } from './output/option-words.ts';
import { harmless } from './output/terminal.ts';
import { buildProgram } from './program.ts';

// A closed pipe is no error, for example "mirrorplane policy list | head -1".
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    process.exit();
  }
  process.stderr.write(`error: the command cannot write to standard output (${error.code ?? error.message})\n`);
  process.exit(EXIT_CODES.unexpected.code);
});
// A failure to write on stderr cannot be reported anywhere.
process.stderr.on('error', () => {});

/**
 * Suggests a command for words of other tools. The module is loaded only here, because most
 * commands are right.
 */
async function noteMeant(): Promise<void> {
  const words = process.argv.slice(2);
  const end = words.findIndex((word) => word.startsWith('-'));
  const { meant } = await import('./suggest.ts');
  const text = meant(buildProgram(), end < 0 ? words : words.slice(0, end));
  if (words.length > 0 && text !== undefined) {
    process.stderr.write(`did you mean "${text}"?\n`);
  }
}

/** The command that runs now. */
let running: Command | undefined;

/** Makes a refusal name options of the command instead of API fields. */
function inItsWords(error: unknown): unknown {
  return error instanceof ProblemError && running
    ? new ProblemError(inWordsOf(running, error.problem), error.exit)
    : error;
}

try {
  if (process.argv[2] === '__complete') {
    const { complete } = await import('./complete/index.ts');
    for (const word of await complete(process.argv.slice(3))) {
      process.stdout.write(`${word}\n`);
    }
  } else {
    await buildProgram()
      .hook('preAction', (_program, action) => {
        running = action;
      })
      .parseAsync(process.argv);
  }
} catch (error) {
  // Commander has printed its own errors already.
  if (!(error instanceof CommanderError)) {
    process.stderr.write(harmless(await errorText(inItsWords(error))));
  } else if (error.exitCode !== 0) {
    await noteMeant();
  }
  process.exitCode = exitCodeOf(error);
}
