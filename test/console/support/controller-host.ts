/** A controller alone, with an empty store, whose console a browser opens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../../../packaging/paths.ts';
import type { ConsoleHost } from './browser.ts';

export class ControllerHost implements ConsoleHost {
  readonly state: { apiPort: number };
  readonly data: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, data: string, apiPort: number) {
    this.#process = process;
    this.data = data;
    this.state = { apiPort };
  }

  /** @throws Error where it does not start */
  static async start(): Promise<ControllerHost> {
    const data = mkdtempSync(join(tmpdir(), 'mirrorplane-console-'));
    const args = ['controller', '--data', data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0'];
    const child = spawn(join(ROOT, 'bin/mirrorplane'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    for await (const line of createInterface({ input: child.stderr! })) {
      const { addresses } = line.startsWith('{') ? (JSON.parse(line) as { addresses?: string[] }) : {};
      if (addresses) {
        child.stderr!.resume();
        return new ControllerHost(child, data, Number(addresses[0]!.split(':').at(-1)));
      }
    }
    rmSync(data, { recursive: true, force: true });
    throw new Error('the controller has ended');
  }

  get url(): string {
    return `http://127.0.0.1:${this.state.apiPort}`;
  }

  /** A file of the data directory, without the end of its line. */
  file(name: string): string {
    return readFileSync(join(this.data, name), 'utf8').trim();
  }

  async api(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const authorization = `Bearer ${this.file('admin-token')}`;
    const headers = { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) };
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(this.url + path, { method, headers, ...json });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    rmSync(this.data, { recursive: true, force: true });
  }
}
