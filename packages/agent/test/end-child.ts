/** Ends a process that a test has started. */
import type { ChildProcess } from 'node:child_process';

/** Kills it, and resolves when it has ended. Does nothing where it has. */
export async function endChild(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
