/** `--watch`: reads again every second and prints what changed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from './context.ts';
import { CliError } from './exit.ts';
import { errorText } from './output/errors.ts';
import { render } from './output/render.ts';

export interface WatchOptions {
  watch?: boolean;
  /**
   * The command ends after this number of readings. Implies `watch`. Default: no limit, until
   * SIGINT.
   */
  count?: number;
}

const INTERVAL_MS = 1000;

/**
 * Prints the result of `read`, once or repeatedly. A terminal is redrawn. Any other output gets a
 * block or a line of JSON for each change. If the controller goes away while watching, the command
 * waits for it. Other errors end the command.
 * @returns the data of the last reading
 */
export async function showWatched<T>(
  context: Context,
  options: WatchOptions,
  read: () => Promise<T>,
  text: (data: T) => string,
): Promise<T> {
  let data = await read();
  if (!options.watch && options.count === undefined) {
    context.print(render(context.format, data, () => text(data)));
    return data;
  }
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    let printed: string | undefined;
    let trouble: string | undefined;
    for (let reading = 1; ; reading += 1) {
      if (trouble === undefined) {
        const block = render(context.format, data, () => text(data), true);
        if (block !== printed) {
          print(context, block);
        }
        printed = block;
      }
      if (reading === options.count) {
        return data;
      }
      await sleep(INTERVAL_MS, undefined, { signal: stop.signal }).catch(() => {});
      if (stop.signal.aborted) {
        return data;
      }
      try {
        data = await read();
        trouble = undefined;
      } catch (error) {
        if (!(error instanceof CliError) || error.exit !== 'unavailable') {
          throw error;
        }
        const now = await errorText(error);
        if (now !== trouble) {
          context.note(now);
        }
        trouble = now;
        // The next reading redraws the whole terminal, and removes this message.
        if (context.terminal) {
          printed = undefined;
        }
      }
    }
  } finally {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

/**
 * Runs `work` until it ends, or until SIGINT or SIGTERM aborts `stop`. If the controller cannot be
 * reached, `work` runs again. This is printed once, until `work` has called `heard`. Other errors
 * are thrown.
 */
export async function whileUnavailable(
  context: Context,
  stop: AbortController,
  work: (heard: () => void) => Promise<void>,
): Promise<void> {
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  let trouble: string | undefined;
  const heard = () => {
    trouble = undefined;
  };
  try {
    while (!stop.signal.aborted) {
      try {
        return await work(heard);
      } catch (error) {
        if (!(error instanceof CliError) || error.exit !== 'unavailable') {
          throw error;
        }
        const now = await errorText(error);
        if (trouble === undefined) {
          context.note(now);
        }
        trouble = now;
      }
      await sleep(INTERVAL_MS, undefined, { signal: stop.signal }).catch(() => {});
    }
  } finally {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

function print(context: Context, block: string): void {
  if (context.format !== 'table' && context.format !== 'wide') {
    context.print(block);
  } else if (context.terminal) {
    // Cursor home, the block with the rest of each line cleared, then everything below cleared.
    // This does not flicker.
    context.print(`\x1b[H${block.replaceAll('\n', '\x1b[K\n')}\x1b[J`);
  } else {
    context.print(`${block}\n`);
  }
}
