/** CPU time of the whole machine, and of kernel threads that process the traffic. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Clock ticks a second in /proc/stat: the same on every Linux. */
const USER_HZ = 100;

/** CPUs of senders and receivers. They are pinned, so that runs differ only in the variant. */
export const SENDER_CPU = '0';
export const RECEIVER_CPU = cpus().length > 1 ? '1' : '0';

/** Seconds: of all CPUs together idle or stolen by the hypervisor, and of a clock on the wall. */
function read(): { unused: number; wall: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  const [, , , , idle, iowait, , , steal] = line.split(/\s+/).map(Number);
  return { unused: (idle! + iowait! + steal!) / USER_HZ, wall: performance.now() / 1000 };
}

/**
 * Runs `work`, and returns the busy CPU seconds of the machine meanwhile, including all other
 * processes. Busy means not idle. The kernel measures idle time with its clock. User, system and
 * softirq time are sampled at the timer tick, and a load that timers pace runs in step with the
 * tick, so the samples miss it.
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
 * CPU seconds of the kernel's softirq threads. On virtual devices, the sending process is charged
 * for a packet, including its delivery and all copies. Under high load, one of these threads takes
 * over. The sum of both is the cost of the traffic. Unlike /proc/stat, it does not include the work
 * of other processes.
 */
export function softirqSeconds(): number {
  softirqThreads ??= readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).startsWith('ksoftirqd/'));
  let nanoseconds = 0;
  for (const pid of softirqThreads) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1e9;
}

/** CPU seconds that processes have used so far, with all their threads that still run. */
export function processSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
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
