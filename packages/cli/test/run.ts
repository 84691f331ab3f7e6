/** Starts real commands for the tests. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));
const LIMIT_MS = 30_000;

/** What a command did. */
export interface Result {
  /** Exit code, or null where a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  input?: string;
  /** Called with the whole stdout after each new part. SIGINT is sent when it returns true. */
  interruptWhen?: (stdout: string) => boolean;
  /** Called with the whole stderr after each new part. */
  sawOnStderr?: (stderr: string) => void;
}

/**
 * Runs bin/mirrorplane to its end. Variables MIRRORPLANE_… and those of editors come from `env`
 * only. Compiled code is shared.
 */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const { PATH = '', HOME = '/' } = process.env;
  const env: NodeJS.ProcessEnv = { PATH, HOME };
  for (const name of ['TMPDIR', 'NODE_COMPILE_CACHE']) {
    if (process.env[name]) {
      env[name] = process.env[name];
    }
  }
  Object.assign(env, options.env);
  const child = spawn(COMMAND, args, { env, timeout: LIMIT_MS, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  let interrupted = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (!interrupted && options.interruptWhen?.(stdout)) {
      interrupted = true;
      child.kill('SIGINT');
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    options.sawOnStderr?.(stderr);
  });
  child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
