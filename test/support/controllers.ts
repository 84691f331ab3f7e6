/** Several controllers over etcd in the place of the one controller of a lab. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, copyFileSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';
import { asUser } from '@mirrorplane/lab/testing';

/** The address of the lab's controller, which its agents know. */
const ADDRESS = '10.99.0.1';
const ETCD = [1, 2, 3].map((number) => ({
  name: `m${number}`,
  url: `http://127.0.0.${number}:2379`,
  peer: `http://127.0.0.${number}:2380`,
}));
const URLS = ETCD.map(({ url }) => url).join();
const LIMIT = { limitMs: 120_000, pauseMs: 50 };

export interface LabController {
  /** HOST:PORT of its port for agents. */
  agents: string;
  /** Ends it, and does not start it again. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): void;
  /** Sends a signal, and waits for nothing. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when its process has ended. */
  ended(): Promise<void>;
  /** Bytes of its log, and what was added behind so many. */
  logSize(): number;
  logSince(bytes: number): string;
  /** Follows server-sent events until they end. @param heard gets the name of each */
  follow(path: string, heard: (event: string) => void): { ended: Promise<void>; close(): void };
  /** One request, by a connection of its own. Status 0: there was no answer. */
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
}

/** Three members of etcd and three controllers in the namespace of the lab's controller. */
export class LabControllers {
  readonly all: LabController[] = [];
  readonly #lab: Lab;
  readonly #children = new Set<ChildProcess>();

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  /**
   * Moves the store of the lab to etcd, and lets three controllers run on it. The first one has the
   * address that the agents know.
   */
  static async start(lab: Lab): Promise<LabControllers> {
    const cluster = new LabControllers(lab);
    const data = dataOf(lab);
    await lab.stopController();
    cluster.#startEtcd();
    const copy = copyStore(lab, 'etcd');
    await until('etcd takes the store', async () => (await lab.exec('ctl', copy, { check: false })).code === 0, LIMIT);
    for (const number of [1, 2, 3]) {
      const own = number === 1 ? data : `${data}-${number}`;
      if (number > 1) {
        const { uid, gid } = statSync(data);
        mkdirSync(own, { mode: 0o700 });
        chownSync(own, uid, gid);
        copyFileSync(join(data, 'cluster.key'), join(own, 'cluster.key'));
        chownSync(join(own, 'cluster.key'), uid, gid);
      }
      const one = cluster.#controller(number, own, URLS);
      cluster.all.push(one);
      one.start();
      await until('it serves', async () => (await one.call('GET', '/readyz')).status === 200, LIMIT);
    }
    return cluster;
  }

  /** Ends all, and starts the controller of the lab again, with the store of these. */
  async close(): Promise<void> {
    for (const one of this.all) {
      await one.kill('SIGKILL');
    }
    await this.#lab.exec('ctl', [...copyStore(this.#lab, 'file'), '--overwrite']);
    for (const child of this.#children) {
      await ended(child, 'SIGKILL');
    }
    await this.#lab.startController();
  }

  /** The one that leads, as a controller says. */
  async leader(): Promise<LabController> {
    return until(
      'a leader',
      async () => {
        for (const one of this.all) {
          const { body } = await one.call('GET', '/api/v1/status');
          const list = (body as { controllers?: { agents: string; leads: boolean }[] })?.controllers ?? [];
          const leader = this.all.find(({ agents }) => list.some((told) => told.leads && told.agents === agents));
          if (leader) {
            return leader;
          }
        }
        return undefined;
      },
      LIMIT,
    );
  }

  #startEtcd(): void {
    const members = ETCD.map(({ name, peer }) => `${name}=${peer}`).join();
    for (const { name, url, peer } of ETCD) {
      const folder = join(this.#lab.runDir, 'etcd', name);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const argv = ['etcd', `--name=${name}`, `--data-dir=${folder}`, `--initial-cluster=${members}`];
      argv.push(`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`, `--listen-peer-urls=${peer}`);
      argv.push(`--initial-advertise-peer-urls=${peer}`, '--log-level=error', '--logger=zap');
      this.#children.add(this.#lab.spawn('ctl', argv, { stdio: 'ignore' }));
    }
  }

  #controller(number: number, data: string, urls: string): LabController {
    const lab = this.#lab;
    const socketPath = join(lab.runDir, 'api', number === 1 ? 'api.sock' : `api-${number}.sock`);
    const port = 7070 + 100 * (number - 1);
    const agents = `${ADDRESS}:${port + 1}`;
    const argv = [lab.state.command, 'controller', '--data', data, '--listen', `127.0.0.1:${port}`];
    argv.push('--listen', `unix:${socketPath}`, '--agent-listen', agents, '--etcd', urls);
    const token = () => readFileSync(join(lab.runDir, 'controller', 'admin-token'), 'utf8').trim();
    const logFile = join(lab.runDir, 'logs', `controller-${number}.log`);
    let child: ChildProcess | undefined;
    return {
      agents,
      signal: (signal) => void child?.kill(signal),
      ended: async () => {
        if (child && child.exitCode === null && child.signalCode === null) {
          await once(child, 'exit');
        }
      },
      logSize: () => statSync(logFile).size,
      logSince: (bytes) => readFileSync(logFile).subarray(bytes).toString(),
      follow: (path, heard) => follow({ socketPath, method: 'GET', path, token: token() }, heard),
      start() {
        const log = openSync(logFile, 'a');
        child = lab.spawn('ctl', asUser('controller', argv), { stdio: ['ignore', log, log] });
      },
      kill: async (signal = 'SIGKILL') => {
        if (child) {
          await ended(child, signal);
        }
      },
      call: (method, path, body) => call({ socketPath, method, path, token: token() }, body),
    };
  }
}

const dataOf = (lab: Lab) => join(lab.runDir, 'controller');

/** Copies the store of the lab's controller to etcd, or back. */
function copyStore(lab: Lab, to: 'etcd' | 'file'): string[] {
  const words = ['store', 'copy', '--to', to, '--data', dataOf(lab), '--etcd', URLS];
  return asUser('controller', [lab.state.command, ...words]);
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const end = once(child, 'exit');
    child.kill(signal);
    await end;
  }
}

interface Call {
  socketPath: string;
  method: string;
  path: string;
  token: string;
}

function follow({ token, ...options }: Call, heard: (event: string) => void) {
  const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' };
  let close: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    const asked = request({ ...options, headers, agent: false }, (response) => {
      let rest = '';
      response.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        for (const name of lines.flatMap((line) => /^event: (.*)$/.exec(line)?.[1] ?? [])) {
          heard(name);
        }
      });
      response.on('error', () => undefined);
      response.on('close', resolve);
    });
    asked.on('error', () => resolve());
    asked.end();
    close = () => void asked.destroy();
  });
  return { ended, close };
}

function call({ token, ...options }: Call, body?: unknown): Promise<{ status: number; body: unknown }> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { authorization: `Bearer ${token}`, ...(text && { 'content-type': 'application/json' }) };
  return new Promise((resolve) => {
    const failed = () => resolve({ status: 0, body: undefined });
    const asked = request({ ...options, headers, agent: false, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', failed);
      response.on('end', () => {
        const all = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({ status: response.statusCode!, body: isJson ? JSON.parse(all) : all });
      });
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', failed);
    asked.end(text);
  });
}
