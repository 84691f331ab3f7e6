/** The daemons of a lab: started to outlive the command, found again by start time, ended. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { until } from '@mirrorplane/base';
import { netnsPath, start } from './netns.ts';

/** A process that the lab started. */
export interface ProcessRecord {
  /** What it is, for example `agent-node-1`. Unique in a lab. */
  name: string;
  pid: number;
  /** Clock ticks after boot at which it started: tells it from a later process with the same pid. */
  startTime: string;
  /** The file that its output goes to. */
  log: string;
}

/** Start time of a process in clock ticks after boot, or null when there is none. Zombies count as none. */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; fields are counted behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** True while that very process runs. */
export function isAlive(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

/** Starts a process that outlives this one, with its output in a file. */
export function startDaemon(name: string, argv: string[], log: string, env: NodeJS.ProcessEnv): ProcessRecord {
  const fd = openSync(log, 'a', 0o644);
  try {
    // A session of its own: Ctrl-C at the terminal ends `lab up`, which then ends this one itself.
    const child = start(argv, { env, detached: true, stdio: ['ignore', fd, fd] });
    child.on('error', () => undefined);
    child.unref();
    const startTime = child.pid === undefined ? null : startTimeOf(child.pid);
    if (child.pid === undefined || startTime === null) {
      throw new Error(`${name} did not start; see ${log}`);
    }
    return { name, pid: child.pid, startTime, log };
  } finally {
    closeSync(fd);
  }
}

/** Sends a signal, if that very process still runs. */
export function signalProcess(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isAlive(record)) {
    return;
  }
  try {
    process.kill(record.pid, signal);
  } catch (error) {
    // It may have ended since.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
      throw error;
    }
  }
}

/** Milliseconds that the kernel may take to end a process: one that it holds up itself, as while many devices go, waits. */
const KILL_LIMIT_MS = 60_000;

/** Ends processes with `signal`, and those that are left after `graceMs` with SIGKILL. Returns when none runs. */
export async function stopProcesses(
  records: ProcessRecord[],
  signal: NodeJS.Signals = 'SIGTERM',
  graceMs = 5000,
): Promise<void> {
  for (const record of records) {
    signalProcess(record, signal);
  }
  const gone = () => !records.some(isAlive);
  try {
    await until('end of processes', gone, { limitMs: graceMs });
  } catch {
    for (const record of records) {
      signalProcess(record, 'SIGKILL');
    }
    await until(`end of ${records.map((r) => `${r.name} (${r.pid})`).join(', ')} after SIGKILL`, gone, {
      limitMs: KILL_LIMIT_MS,
    });
  }
}

/**
 * Commands of Open vSwitch that name a folder of the lab: what `up` had just started when it was killed, and had not noted.
 * They run in the namespace of `up`, and wait for a switch that will never answer.
 */
export function switchCommandsOf(folder: string): ProcessRecord[] {
  return readdirSync('/proc').flatMap((entry): ProcessRecord[] => {
    if (!/^\d+$/.test(entry)) {
      return [];
    }
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      const startTime = startTimeOf(Number(entry));
      const ours = basename(command[0]!).startsWith('ovs') && command.some((part) => part.includes(`${folder}/`));
      return ours && startTime !== null ? [{ name: 'of the switch', pid: Number(entry), startTime, log: '' }] : [];
    } catch {
      // It has ended.
      return [];
    }
  });
}

/** Every process whose network namespace is one of these: the lab's own, and what was started in it by `lab exec`. */
export function processesIn(namespaces: string[]): ProcessRecord[] {
  const wanted = new Map<string, string>();
  const self = readlinkSync('/proc/self/ns/net');
  for (const ns of namespaces) {
    try {
      const identity = `net:[${statSync(netnsPath(ns)).ino}]`;
      // A name that was never bound to a namespace is an empty file; never match the namespace that we run in.
      if (identity !== self) {
        wanted.set(identity, ns);
      }
    } catch {
      // Not made, or removed already.
    }
  }
  const found: ProcessRecord[] = [];
  if (wanted.size === 0) {
    return found;
  }
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) {
      continue;
    }
    try {
      const ns = wanted.get(readlinkSync(`/proc/${entry}/ns/net`));
      const startTime = startTimeOf(Number(entry));
      if (ns !== undefined && startTime !== null) {
        found.push({ name: `in ${ns}`, pid: Number(entry), startTime, log: '' });
      }
    } catch {
      // It has ended, or is a kernel thread.
    }
  }
  return found;
}
