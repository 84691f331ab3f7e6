/** A controller with very many policies and sources, and agents that report their traffic. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../../../packaging/paths.ts';
import type { ConsoleHost } from './browser.ts';

/** Two policies have all their sources on nodes, the others wait for theirs. */
export const LARGE = { policies: 100, sources: 1024, nodes: 2 };
const MAIN = join(ROOT, 'packages/controller/test/large-cluster-main.ts');

interface Started {
  pid: number;
  apiPort: number;
  authorization: string;
}

export class LargeHost implements ConsoleHost {
  readonly state: { apiPort: number };
  /** Process id of the controller. */
  readonly pid: number;
  /** Value of the header `Authorization`. */
  readonly authorization: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, { pid, apiPort, authorization }: Started) {
    this.#process = process;
    this.pid = pid;
    this.state = { apiPort };
    this.authorization = authorization;
  }

  /** @throws Error where the controller or an agent does not start */
  static async start(): Promise<LargeHost> {
    const args = [LARGE.policies, LARGE.sources, LARGE.nodes].map(String);
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout! });
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the large cluster ended with ${code}`))),
    ])) as [string];
    return new LargeHost(child, JSON.parse(line));
  }

  async api(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const headers = {
      authorization: this.authorization,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const url = `http://127.0.0.1:${this.state.apiPort}${path}`;
    const answer = await fetch(url, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin!.end();
    await ended;
  }
}
