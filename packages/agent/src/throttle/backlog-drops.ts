/**
 * Counts packets that the kernel received and lost because a CPU had no time for them. The count is
 * for the whole machine, not for a network namespace.
 */
import { readFileSync } from 'node:fs';

/**
 * Field in a line of /proc/net/softnet_stat: packets that found the backlog of the line's CPU full.
 */
const DROPPED = 1;

/**
 * The sum over all CPUs in a text of /proc/net/softnet_stat. @throws Error if the text has another
 * format
 */
export function parseLost(text: string): number {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const dropped = Number.parseInt(line.trim().split(/\s+/)[DROPPED] ?? '', 16);
      if (Number.isNaN(dropped)) {
        throw new Error(`/proc/net/softnet_stat has an unexpected line: ${line}`);
      }
      return dropped;
    })
    .reduce((sum, dropped) => sum + dropped, 0);
}

/** The current count. @throws Error if /proc cannot be read */
export function readLost(): number {
  return parseLost(readFileSync('/proc/net/softnet_stat', 'utf8'));
}
