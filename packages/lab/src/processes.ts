/**
 * Starts, finds and ends daemons of a lab. They outlive the command that starts them, and are
 * identified by their start time.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { until } from '@mirrorplane/base';
import { netnsPath, start } from './netns.ts';

/** A process that the lab started. */
export interface ProcessRecord {
  /** Name, for example `agent-node-1`. Unique in a lab. */
  name: string;
  pid: number;
  /**
   * Start time in clock ticks after boot. It distinguishes the process from a later one with the
   * same pid.
   */
  startTime: string;
  /** The file that its output goes to. */
  log: string;
}

/** Start time of a process in clock ticks after boot. Null for no process or a zombie. */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may contain spaces, so fields are counted after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** True while exactly this process runs. */
export function isAlive(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

/** Starts a process that outlives this one, with its output in a file. */
export function startDaemon(name: string, argv: string[], log: string, env: NodeJS.ProcessEnv): ProcessRecord {
  const fd = openSync(log, 'a', 0o644);
  try {
    // Its own session: Ctrl-C at the terminal must only end `lab up`, which then ends this process.
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

/** Sends a signal if exactly this process still runs. */
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

/**
 * Milliseconds that the kernel may need to end a process. It takes long while many devices are
 * removed.
 */
const KILL_LIMIT_MS = 60_000;

/** Ends processes with `signal`. After `graceMs`, SIGKILL ends the rest. Returns when none runs. */
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
 * Open vSwitch commands whose arguments name a folder of the lab. A killed `up` may have started
 * them without recording them. They run in the namespace of `up`, and wait for a switch that never
 * answers.
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

/**
 * Every process in one of these network namespaces: daemons of the lab, and commands of `lab exec`.
 */
export function processesIn(namespaces: string[]): ProcessRecord[] {
  const wanted = new Map<string, string>();
  const self = readlinkSync('/proc/self/ns/net');
  for (const ns of namespaces) {
    try {
      const identity = `net:[${statSync(netnsPath(ns)).ino}]`;
      // A name that was never bound to a namespace is an empty file. The own namespace must never
      // match.
      if (identity !== self) {
        wanted.set(identity, ns);
      }
    } catch {
      // It was not made, or is already removed.
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
