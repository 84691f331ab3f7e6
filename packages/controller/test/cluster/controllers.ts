/** Three controllers as processes of their own, over a real etcd cluster, each with its address. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { temporaryFolder } from '../harness.ts';
import { type EtcdMembers, startEtcd } from '../store/etcd-members.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');

/** One controller. Its process is started again when it ends by itself, as a service manager does. */
export interface ControllerProcess {
  name: string;
  host: string;
  data: string;
  /** HOST:PORT of the API, and of its port for agents. */
  api: string;
  agents: string;
  log: string;
  /** Ends it, and does not start it again. Resolves when it has ended. */
  stop(signal: NodeJS.Signals): Promise<void>;
  start(): void;
  signal(signal: NodeJS.Signals): void;
  /** How often it was started. */
  starts(): number;
  pid(): number | undefined;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads from an answer, it asserts.
  body: any;
}

export interface CallOptions {
  token?: string;
  headers?: Record<string, string>;
  limitMs?: number;
}

/** One request to a controller, by a connection of its own. Rejects if there is no answer in time. */
export function call(api: string, method: string, url: string, body?: unknown, options: CallOptions = {}) {
  const [host, port] = api.split(':');
  const { token, limitMs = 5000 } = options;
  const headers = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...options.headers,
  };
  return new Promise<Answer>((resolve, reject) => {
    const request = httpRequest({ host, port, method, path: url, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({ status: response.statusCode!, headers: response.headers, body: isJson ? JSON.parse(text) : text });
      });
    });
    request.setTimeout(limitMs, () => request.destroy(new Error(`${api} does not answer`)));
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export interface StartOptions {
  count?: number;
  /** Etcd as one controller reaches it. Default: the members. */
  etcdOf?: (name: string, endpoints: readonly string[]) => Promise<readonly string[]>;
  more?: string[];
}

/** The cluster of a test. It ends with the test. */
export class ControllerCluster {
  readonly etcd: EtcdMembers;
  readonly controllers: ControllerProcess[];
  readonly token: string;

  private constructor(etcd: EtcdMembers, controllers: ControllerProcess[], token: string) {
    this.etcd = etcd;
    this.controllers = controllers;
    this.token = token;
  }

  static async start(t: TestContext, options: StartOptions = {}): Promise<ControllerCluster> {
    const etcd = await startEtcd(t, 3);
    const folder = temporaryFolder(t);
    const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    const controllers: ControllerProcess[] = [];
    for (let number = 1; number <= (options.count ?? 3); number++) {
      const name = `c${number}`;
      const endpoints = (await options.etcdOf?.(name, etcd.endpoints)) ?? etcd.endpoints;
      const host = `${net}.${number}`;
      const data = path.join(folder, name);
      const args = ['--data', data, '--listen', `${host}:7070`, '--agent-listen', `${host}:7071`];
      args.push('--etcd', endpoints.join(), ...(options.more ?? []));
      controllers.push(supervised(t, { name, host, data, args, log: path.join(folder, `${name}.log`) }));
    }
    const [first, ...others] = controllers;
    first!.start();
    await until('the first controller leads', () => isReady(first!), { limitMs: 60_000 });
    const token = readFileSync(path.join(first!.data, 'admin-token'), 'utf8').trim();
    // All that an operator copies.
    for (const one of others) {
      copyFileSync(path.join(first!.data, 'cluster.key'), path.join(one.data, 'cluster.key'));
      one.start();
    }
    const cluster = new ControllerCluster(etcd, controllers, token);
    await until('all answer', async () => (await Promise.all(controllers.map(isReady))).every(Boolean), {
      limitMs: 60_000,
    });
    return cluster;
  }

  call(one: ControllerProcess, method: string, url: string, body?: unknown, options: CallOptions = {}) {
    return call(one.api, method, url, body, { token: this.token, ...options });
  }

  /** Who leads, as etcd has it. Undefined: nobody, or one that is not of this cluster. */
  async leader(): Promise<ControllerProcess | undefined> {
    const text = await this.etcd.ctl('get', '/mirrorplane/leader', '--print-value-only').catch(() => '');
    const agents = text === '' ? undefined : (JSON.parse(text) as { agents?: string }).agents;
    return this.controllers.find((one) => one.agents === agents);
  }
}

/** Whether a controller, or the leader behind it, is ready. */
export async function isReady({ api }: ControllerProcess): Promise<boolean> {
  return call(api, 'GET', '/readyz').then(
    ({ status }) => status === 200,
    () => false,
  );
}

interface Supervised {
  name: string;
  host: string;
  data: string;
  args: string[];
  log: string;
}

function supervised(t: TestContext, { name, host, data, args, log }: Supervised): ControllerProcess {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  let child: ChildProcess | undefined;
  let starts = 0;
  let isWanted = false;
  const start = () => {
    isWanted = true;
    starts++;
    const out = openSync(log, 'a');
    const own = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', MAIN, ...args, '--log-level', 'debug'],
      {
        stdio: ['ignore', out, out],
      },
    );
    child = own;
    own.once('exit', () => {
      if (isWanted && child === own) {
        start();
      }
    });
  };
  const stop = async (signal: NodeJS.Signals) => {
    isWanted = false;
    const own = child;
    if (own && own.exitCode === null && own.signalCode === null) {
      const ended = once(own, 'exit');
      own.kill('SIGCONT');
      own.kill(signal);
      await ended;
    }
  };
  const atExit = () => child?.kill('SIGKILL');
  process.on('exit', atExit);
  t.after(async () => {
    process.off('exit', atExit);
    await stop('SIGKILL');
  });
  return {
    ...{ name, host, data, log, start, stop },
    api: `${host}:7070`,
    agents: `${host}:7071`,
    signal: (signal) => child?.kill(signal),
    starts: () => starts,
    pid: () => child?.pid,
  };
}
