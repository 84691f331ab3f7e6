/** The controller that is fuzzed: a process of its own, with a small cluster. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { ROOT } from '../../packaging/paths.ts';

/**
 * The largest heap, MB. It is small, so that what is kept without need ends the process, and garbage
 * does not look like it.
 */
const HEAP_MB = 160;
/** Lines of the log that are kept, the newest. */
const MAX_LOG = 2000;

export class Target {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mirrorplane-fuzz-'));
  readonly #child: ChildProcess;
  readonly #log: string[] = [];
  #port = 0;
  #agentPort = 0;

  private constructor() {
    const args = ['controller', '--data', join(this.#folder, 'data'), '--listen', '127.0.0.1:0'];
    this.#child = spawn(join(ROOT, 'bin/mirrorplane'), [...args, '--agent-listen', '127.0.0.1:0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` },
    });
    let rest = '';
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      this.#take(lines);
    });
  }

  /** Starts a controller, and makes the cluster. */
  static async start(): Promise<Target> {
    const target = new Target();
    try {
      await until('the controller to start', () => target.#port > 0 || !target.isRunning, { limitMs: 60_000 });
      // The first start tells the password of the administrator beside the log.
      target.#log.splice(0, target.#log.length, ...target.#log.filter((line) => line.startsWith('{')));
      await target.fill();
    } catch (error) {
      await target.close();
      throw error;
    }
    return target;
  }

  get port(): number {
    return this.#port;
  }

  get agentPort(): number {
    return this.#agentPort;
  }

  get token(): string {
    return readFileSync(join(this.#folder, 'data/admin-token'), 'utf8').trim();
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Lines of its log of level `error` or `fatal`, and those that are not from its log. */
  get errors(): string[] {
    return this.#log.filter((line) => !/"level":"(info|warn|debug)"/.test(line));
  }

  /** Memory of the process, bytes. */
  get memory(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes) * 1024;
  }

  /** What a GET answers. @throws Error if it does not succeed */
  async text(path: string): Promise<string> {
    const headers = { authorization: `Bearer ${this.token}` };
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, { headers });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`GET ${path}: ${response.status} ${text.slice(0, 500)}`);
    }
    return text;
  }

  /** A request that has to succeed. */
  async must(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    }
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Makes what the requests are about, where it is not there. */
  async fill(): Promise<void> {
    await this.must('PUT', '/api/v1/domains/blue', {});
    await this.must('PUT', '/api/v1/pools/east', { domain: 'blue' });
    await this.must('PUT', '/api/v1/nodes/node-1', { pool: 'east' });
    await this.must('PUT', '/api/v1/nodes/node-2', { pool: 'east' });
    for (const id of ['web-1/0', 'web-2/0', 'ids-1/0']) {
      await this.must('PUT', `/api/v1/interfaces/${encodeURIComponent(id)}`, { kind: 'vm', pool: 'east' });
    }
    const edge = { node: 'node-1', device: 'eth2', allowedVlans: [100, 101] };
    await this.must('PUT', '/api/v1/interfaces/uplink', { kind: 'edge', edge });
  }

  async close(): Promise<void> {
    if (this.isRunning) {
      const gone = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill();
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(timer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #take(lines: string[]): void {
    for (const line of lines) {
      const [, api] = /"addresses":\["127\.0\.0\.1:(\d+)"\]/.exec(line) ?? [];
      const [, agents] = /"agentPort":(\d+)/.exec(line) ?? [];
      if (api !== undefined && agents !== undefined) {
        this.#port = Number(api);
        this.#agentPort = Number(agents);
      }
      this.#log.push(line);
    }
    this.#log.splice(0, this.#log.length - MAX_LOG);
  }
}
