/** CPU time: of the whole machine, and of what the kernel does in its own threads for the traffic. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Clock ticks a second in /proc/stat: the same on every Linux. */
const USER_HZ = 100;

/** CPUs that senders and receivers are pinned to, so that runs differ in nothing but the variant. */
export const SENDER_CPU = '0';
export const RECEIVER_CPU = cpus().length > 1 ? '1' : '0';

/** Seconds: of all CPUs together idle or stolen by the hypervisor, and of a clock on the wall. */
function read(): { unused: number; wall: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  const [, , , , idle, iowait, , , steal] = line.split(/\s+/).map(Number);
  return { unused: (idle! + iowait! + steal!) / USER_HZ, wall: performance.now() / 1000 };
}

/**
 * Runs `work` and tells how many CPU seconds the machine was busy meanwhile, with everything else that ran. Busy is what
 * was not idle: the kernel measures idle time by its clock, while user, system and softirq time are sampled at the timer
 * tick, and a load that is paced by timers runs in step with the tick and hides from it.
 */
export async function busySeconds<T>(work: () => Promise<T>): Promise<{ result: T; busy: number; wall: number }> {
  const before = read();
  const result = await work();
  const after = read();
  const wall = after.wall - before.wall;
  return { result, busy: wall * cpus().length - (after.unused - before.unused), wall };
}

let softirqThreads: string[] | undefined;

/**
 * CPU seconds that the kernel's softirq threads have had. What a packet costs on virtual devices is charged to the process
 * that sends it, delivery to the last receiver and all copies included, until there is so much of it that one of these
 * threads takes over. Both together are the cost of the traffic, and unlike /proc/stat without the cost of others' work.
 */
export function softirqSeconds(): number {
  softirqThreads ??= readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).startsWith('ksoftirqd/'));
  let nanoseconds = 0;
  for (const pid of softirqThreads) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1e9;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return ''; // it has ended since
  }
}
