/** The CPU priority of the agent. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Logger } from '../log.ts';

/** Nice value, as other network daemons have it. */
const NICE = -10;

/**
 * Gives this process a higher priority than ordinary ones. The agent needs a few milliseconds of
 * CPU time to capture a new guest, and on a busy node it waits many times as long for them. If the
 * priority is refused, the agent runs without it.
 */
export function comeFirst(log: Logger): void {
  try {
    // Each thread has a value of its own: the main thread waits for those that collect garbage.
    setPriority(NICE);
    for (const thread of readdirSync('/proc/self/task')) {
      setPriority(Number(thread), NICE);
    }
    // If the kernel groups processes by session, a nice value counts only within the group. The
    // group is only changed if this process leads the session.
    if (leadsSession()) {
      writeFileSync('/proc/self/autogroup', String(NICE));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return; // a kernel without such groups
    }
    log.debug({ err: error }, 'no priority over other processes');
  }
}

function leadsSession(): boolean {
  // Fields: pid (name) state ppid pgrp session. The name may contain any character.
  const [, , , session] = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(session) === process.pid;
}
