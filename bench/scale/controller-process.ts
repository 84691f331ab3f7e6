/** The controller that is measured: a process of its own, as it is shipped, and a client of its API. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '@mirrorplane/base';

/** Clock ticks a second in /proc: the same on every Linux. */
const USER_HZ = 100;
/** Milliseconds that an answer may take. */
const ANSWER_MS = 60_000;
const MAIN = join(import.meta.dirname, '../../packages/controller/src/main.ts');
/** Code that an earlier start has compiled, as on a host on which it has run before. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compiled');

/** More flags of Node.js, for trials: `FLAGS='--max-semi-space-size=32'`. */
const MORE_FLAGS = (process.env.FLAGS ?? '').split(' ').filter((flag) => flag !== '');

/** What a process has used so far. */
export interface Usage {
  /** Seconds of CPU time. */
  cpu: number;
  /** Bytes of memory now, and the most so far. */
  memory: number;
  mostMemory: number;
}

/** Bytes on the connections of agents, as the kernel has counted them. */
export interface Traffic {
  /** From the controller. */
  sent: number;
  received: number;
}

export class ControllerProcess {
  readonly #data: string;
  /** Folder for a profile of the CPU; undefined: none. */
  readonly #profile: string | undefined;
  #child: ChildProcess | undefined;
  #apiPort = 0;
  /** Ports stay the same over a restart. */
  agentPort = 0;
  readonly #connections = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(data: string, profile?: string) {
    this.#data = data;
    this.#profile = profile;
  }

  /** Starts it. @returns milliseconds until it serves */
  async start(limitMs: number): Promise<number> {
    const began = performance.now();
    const listen = ['--listen', `127.0.0.1:${this.#apiPort}`, '--agent-listen', `127.0.0.1:${this.agentPort}`];
    const profile = this.#profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', this.#profile];
    const flags = ['--disable-warning=ExperimentalWarning', ...MORE_FLAGS, ...profile];
    const child = spawn(process.execPath, [...flags, MAIN, '--data', this.#data, ...listen], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // As the package starts it (packaging/files/bin/mirrorplane-controller).
      env: { MALLOC_ARENA_MAX: '2', ...process.env, NODE_COMPILE_CACHE: COMPILED },
    });
    this.#child = child;
    const said: string[] = [];
    let started: { addresses: string[]; agentPort: number } | undefined;
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said.splice(0, said.length - 20);
      said.push(line);
      if (line.includes('"controller started"')) {
        started = JSON.parse(line);
      }
      if (process.env.V && /"level":[56]0/.test(line)) {
        process.stderr.write(`${line}\n`);
      }
    });
    const { addresses, agentPort } = await until(
      'the controller to start',
      () => {
        if (child.exitCode !== null) {
          throw new Error(`the controller ended: ${said.join('\n')}`);
        }
        return started;
      },
      { limitMs },
    );
    this.#apiPort = Number(addresses[0]!.split(':').at(-1));
    this.agentPort = agentPort;
    return performance.now() - began;
  }

  /** Ends it, as an operator does. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }

  async close(): Promise<void> {
    this.#connections.destroy();
    await this.stop();
  }

  /** A request of its API that has to succeed. */
  async api<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    return JSON.parse(await this.#text(method, path, body)) as T;
  }

  /** Its metrics. @returns values without labels, by name, and how many bytes all of them are */
  async metrics(): Promise<{ values: ReadonlyMap<string, number>; bytes: number }> {
    const text = await this.#text('GET', '/metrics');
    const lines = text.matchAll(/^(\w+) (\S+)$/gm);
    return { values: new Map([...lines].map(([, name, value]) => [name!, Number(value)])), bytes: text.length };
  }

  async #text(method: string, path: string, body?: unknown): Promise<string> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = {
      authorization: `Bearer ${readFileSync(join(this.#data, 'admin-token'), 'utf8').trim()}`,
      ...(text !== undefined && { 'content-type': type }),
    };
    const call = request({
      ...{ host: '127.0.0.1', port: this.#apiPort, method, path, headers },
      agent: this.#connections,
      timeout: ANSWER_MS,
    });
    call.once('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within ${ANSWER_MS} ms`)));
    call.end(text);
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    let answer = '';
    for await (const chunk of response) {
      answer += chunk;
    }
    if ((response.statusCode ?? 0) >= 300) {
      throw new Error(`${method} ${path}: ${response.statusCode} ${answer.slice(0, 500)}`);
    }
    return answer;
  }

  /** How many nodes are connected and have reported. */
  async connected(): Promise<number> {
    const path = '/api/v1/nodes?view=summary&limit=1&filter=state%3Aready';
    return (await this.api<{ total: number }>('GET', path)).total;
  }

  usage(): Usage {
    return usageOf(this.#child!.pid!);
  }

  traffic(): Traffic {
    const filter = `sport = :${this.agentPort}`;
    const text = execFileSync('ss', ['-tinH', filter], { encoding: 'utf8', maxBuffer: 1 << 28 });
    const sum = (name: string) =>
      [...text.matchAll(new RegExp(`${name}:(\\d+)`, 'g'))].reduce((all, [, bytes]) => all + Number(bytes), 0);
    return { sent: sum('bytes_sent'), received: sum('bytes_received') };
  }
}

/** What a process has used so far. */
export function usageOf(pid: number): Usage {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  const cpu = (Number(fields[11]) + Number(fields[12])) / USER_HZ;
  return { cpu, memory: bytes('VmRSS'), mostMemory: bytes('VmHWM') };
}
