/** A real controller in a process of its own, for the tests of commands. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Result, type RunOptions, run } from './run.ts';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));
const LIMIT_MS = 30_000;

/** A controller with an empty store, in a folder that is removed with it. */
export class Controller {
  readonly folder = mkdtempSync(join(tmpdir(), 'mirrorplane-cli-'));
  readonly socket = join(this.folder, 'api.sock');
  readonly tokenFile = join(this.folder, 'data', 'admin-token');
  readonly env: Record<string, string> = {
    MIRRORPLANE_URL: `unix:${this.socket}`,
    MIRRORPLANE_TOKEN_FILE: this.tokenFile,
  };
  #child: ChildProcess | undefined;
  #log = '';

  /** What it has logged. */
  get log(): string {
    return this.#log;
  }

  /** Starts it and waits until it answers. @param more options in addition */
  async start(...more: string[]): Promise<void> {
    const args = ['controller', '--data', join(this.folder, 'data'), '--listen', `unix:${this.socket}`];
    const child = spawn(COMMAND, [...args, '--agent-listen', '127.0.0.1:0', '--log-level', 'warn', ...more]);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    const until = Date.now() + LIMIT_MS;
    while (!(existsSync(this.tokenFile) && (await this.#ready()))) {
      if (child.exitCode !== null || Date.now() > until) {
        throw new Error(`the controller did not start (exit code ${child.exitCode}):\n${this.#log}`);
      }
      await sleep(50);
    }
  }

  /** Stops it; `start` starts it again on the same store. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((done) => child.once('exit', done));
      child.kill(signal);
      await Promise.race([gone, sleep(5000, undefined, { ref: false })]);
      if (child.exitCode === null) {
        child.kill('SIGKILL');
      }
    }
  }

  /** Stops it and removes everything. */
  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command against it. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    return run(args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Runs a command that must succeed, and parses its JSON. */
  async json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '-o', 'json']);
    if (code !== 0) {
      throw new Error(`mirrorplane ${args.join(' ')} ended with ${code}: ${stderr}`);
    }
    return JSON.parse(stdout) as T;
  }

  /** Sends a request to the API. @throws Error if it does not succeed */
  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const token = readFileSync(this.tokenFile, 'utf8').trim();
    const { status, text } = await this.#call(method, `/api/v1${path}`, body, { authorization: `Bearer ${token}` });
    if (status >= 300) {
      throw new Error(`${method} ${path} was answered with ${status}: ${text}`);
    }
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async #ready(): Promise<boolean> {
    const answer = await this.#call('GET', '/readyz').catch(() => undefined);
    return answer?.status === 200;
  }

  #call(method: string, path: string, body?: unknown, more: Record<string, string> = {}) {
    const headers = { ...more, ...(body !== undefined && { 'content-type': 'application/json' }) };
    return new Promise<{ status: number; text: string }>((resolve, reject) => {
      const call = request({ socketPath: this.socket, method, path, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
