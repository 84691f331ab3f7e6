/** Commands that take several names. */
import type { Context } from '../context.ts';
import { CliError } from '../exit.ts';
import { errorText } from '../output/errors.ts';
import type { Outcome } from '../output/render.ts';

/**
 * Calls `one` for every name. A refusal for one name does not stop the others.
 * @throws CliError with the exit code of the first failure, after everything was printed
 */
export async function each(
  context: Context,
  names: readonly string[],
  report: (context: Context, outcomes: readonly Outcome[]) => void,
  one: (name: string) => Promise<Outcome>,
): Promise<void> {
  const outcomes: Outcome[] = [];
  const failures: CliError[] = [];
  for (const name of new Set(names)) {
    try {
      outcomes.push(await one(name));
    } catch (error) {
      // Without a controller or without permission, the next name would fail too.
      if (
        !(error instanceof CliError) ||
        error.exit === 'unavailable' ||
        error.exit === 'denied' ||
        names.length === 1
      ) {
        if (outcomes.length > 0) {
          report(context, outcomes);
        }
        throw error;
      }
      failures.push(error);
      context.note(await errorText(error));
    }
  }
  report(context, outcomes);
  if (failures.length > 0) {
    throw new CliError(failures[0]!.exit, `${failures.length} of ${new Set(names).size} failed`);
  }
}
