/** A daemon on a host. It is started again when it ends, as a service manager does. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, spawnBound } from './hosts.ts';

const COMPILED = path.resolve(import.meta.dirname, '../../../node_modules/.cache/compiled');
/** Milliseconds before an ended daemon is started again. */
const RESTART_MS = 200;

export class Daemon {
  readonly name: string;
  readonly host: Host;
  readonly #argv: readonly string[];
  readonly #log: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #onLine: ((line: string) => void) | undefined;
  #child: ChildProcess | undefined;
  #wanted = false;
  /** How often it was started. */
  starts = 0;

  /**
   * @param log file that gets what it says of itself
   * @param onLine takes each line of its standard output. Left out: nobody does
   */
  constructor(
    host: Host,
    name: string,
    argv: readonly string[],
    log: string,
    env: NodeJS.ProcessEnv = {},
    onLine?: (line: string) => void,
  ) {
    this.host = host;
    this.name = name;
    this.#argv = argv;
    this.#log = log;
    this.#env = env;
    this.#onLine = onLine;
  }

  /** Starts it, and keeps it running. */
  start(): void {
    this.#wanted = true;
    this.#launch();
  }

  /** The process. @throws Error if none runs */
  get pid(): number {
    if (this.#child?.pid === undefined) {
      throw new Error(`${this.name} does not run`);
    }
    return this.#child.pid;
  }

  /** Whether it runs as this process. */
  isProcess(pid: number): boolean {
    return this.#child?.pid === pid;
  }

  /** Kills it. @param again false: it is not started again before `start` */
  async kill(again: boolean): Promise<void> {
    this.#wanted = again;
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /**
   * Its disk takes so many milliseconds for each sync, until the returned function is called. Every
   * system call of the process takes longer, too: a tracer looks at each.
   */
  async slowDisk(ms: number): Promise<() => Promise<void>> {
    const calls = 'fsync,fdatasync,msync';
    const argv = ['strace', '-qq', '-f', '-p', String(this.pid), '-o', '/dev/null', '-e', `trace=${calls}`];
    const tracer = spawnBound([...argv, '-e', `inject=${calls}:delay_enter=${ms * 1000}`], { stdio: 'ignore' });
    await once(tracer, 'spawn');
    return async () => {
      if (tracer.exitCode === null && tracer.signalCode === null) {
        const ended = once(tracer, 'exit');
        tracer.kill('SIGINT');
        await ended;
      }
    };
  }

  #launch(): void {
    const log = openSync(this.#log, 'a');
    this.starts++;
    // Each start finds the code that an earlier one has compiled.
    const env = { NODE_COMPILE_CACHE: COMPILED, ...process.env, ...this.#env };
    const output = this.#onLine ? 'pipe' : 'ignore';
    const child = this.host.spawn(this.#argv, { stdio: ['ignore', output, log], env });
    closeSync(log);
    if (child.stdout && this.#onLine) {
      createInterface({ input: child.stdout }).on('line', this.#onLine);
    }
    this.#child = child;
    child.once('exit', async () => {
      await sleep(RESTART_MS);
      if (this.#wanted && this.#child === child) {
        this.#launch();
      }
    });
  }
}

/** The folder of the logs. */
export function logFolder(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}
