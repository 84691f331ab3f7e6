/** The agent's place in the queue for a CPU. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Logger } from '../log.ts';

/** Nice value: as that of other daemons that networks wait for. */
const NICE = -10;

/**
 * Puts this process before ordinary ones. A guest that has come is not captured before the agent has had the CPU for a few
 * milliseconds, and on a busy node it waits for those many times as long. Where this is refused, it waits.
 */
export function comeFirst(log: Logger): void {
  try {
    setPriority(NICE);
    // Where the kernel groups processes by session, a nice value counts within the group alone. The group of a session that
    // others are in too is not ours to change.
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
  // pid (name) state ppid pgrp session; the name may hold anything.
  const [, , , session] = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(session) === process.pid;
}
