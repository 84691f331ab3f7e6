/** Runs commands, in a network namespace or outside of one. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/** The result of a command. */
export interface RunResult {
  /** Exit status; 128 + signal number where a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a command. */
export interface RunOptions {
  /** Text for its standard input. Default none. */
  input?: string;
  /** Milliseconds until it is killed. Default 60000. */
  timeoutMs?: number;
  /** Throw `CommandError` on an exit status other than 0. Default true. */
  check?: boolean;
  /** Variables beside those of this process. */
  env?: Record<string, string>;
}

/** A command that ended with a status other than 0, or could not be started. */
export class CommandError extends Error {
  readonly argv: string[];
  readonly result: RunResult;
  constructor(argv: string[], result: RunResult, reason = `exit status ${result.code}`) {
    const said = (result.stderr || result.stdout).trim().slice(-2000);
    super(`${argv.join(' ').slice(0, 300)}: ${reason}${said ? `: ${said}` : ''}`);
    this.argv = argv;
    this.result = result;
  }
}

/**
 * The environment of this process, with the folders of system commands added to the path. A user's
 * path often lacks them.
 */
export function commandEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`, ...extra };
}

/** The path where a namespace is bound. */
export function netnsPath(ns: string): string {
  return `/run/netns/${ns}`;
}

/**
 * The argument vector that runs `argv` in a network namespace. Only the network namespace is
 * entered: `ip netns exec` would also remount /sys, and so hide bpffs.
 */
export function inNetns(ns: string, argv: string[]): string[] {
  return ['nsenter', `--net=${netnsPath(ns)}`, '--', ...argv];
}

/** Starts a command without waiting. The caller ends it. */
export function start(argv: string[], options: SpawnOptions = {}): ChildProcess {
  const [file, ...args] = argv;
  if (file === undefined) {
    throw new TypeError('start: empty command');
  }
  return spawn(file, args, { env: commandEnv(), ...options });
}

/** Runs a command to its end. Throws `CommandError` unless told otherwise. */
export function run(argv: string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = start(argv, { env: commandEnv(options.env), stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    // A command that ends without reading its input breaks the pipe. Its exit status says enough.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? 60_000);
    const texts = () => ({ stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new CommandError(argv, { code: 127, ...texts() }, error.message));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const result = { code: exitStatus(code, signal), ...texts() };
      if (timedOut) {
        reject(new CommandError(argv, result, `no end after ${options.timeoutMs ?? 60_000} ms`));
      } else if (result.code !== 0 && options.check !== false) {
        reject(new CommandError(argv, result));
      } else {
        resolve(result);
      }
    });
  });
}

const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** The exit status that a shell would show. */
export function exitStatus(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal ? (SIGNAL_NUMBERS[signal] ?? 0) : 0);
}

/**
 * Runs lines of `ip` in one process, in a namespace or (null) in the root namespace. Stops at the
 * first line that fails.
 */
export async function ipBatch(ns: string | null, lines: string[]): Promise<void> {
  if (lines.length === 0) {
    return;
  }
  await run(ns === null ? ['ip', '-batch', '-'] : ['ip', '-n', ns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Runs a shell script in a namespace. Throws at the first command that fails. */
export async function script(ns: string, lines: string[]): Promise<void> {
  if (lines.length === 0) {
    return;
  }
  await run(inNetns(ns, ['sh', '-eu']), { input: `${lines.join('\n')}\n` });
}

/**
 * Lines of a shell script that give a command its input in a here-document. Empty without input
 * lines.
 */
export function heredoc(command: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [`${command} <<'END_OF_BATCH'`, ...lines, 'END_OF_BATCH'];
}

/**
 * Runs `work` for all `items`, at most `width` at a time. Throws the first failure after running
 * work has ended.
 */
export async function parallel<T>(items: T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | null = null;
  const lane = async () => {
    while (failure === null && next < items.length) {
      const item = items[next++] as T;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failure !== null) {
    throw (failure as { error: unknown }).error;
  }
}
