/**
 * A controller in a process of its own with many policies and sources, and agents that report
 * devices, captures and traffic as those of real nodes do. There is no data plane behind it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '@mirrorplane/base';
import { type CounterReport, captureId, type Device, parseJoinToken, ZERO } from '@mirrorplane/contract';
import type { InterfaceRecord, PolicyRecord } from '../src/store/records.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import type { Operation } from '../src/store/store.ts';
import { keyOf } from '../src/store/view.ts';
import { Bench, certificateRequest, type TestAgent } from './harness.ts';

const DESTINATION = 'ids-1/0';
/** Packets a second of each source, and their bytes. */
const [PACKETS, FRAME] = [20, 500];
/** Milliseconds that the controller may take to read its store. */
const START_MS = 120_000;
const DIRECTIONS = ['inbound', 'outbound'] as const;

export interface LargeOptions {
  policies: number;
  /** Of each policy. */
  sources: number;
  /** Each has the sources of one policy as devices; those of all other policies have no device. */
  nodes: number;
}

const sourceId = (policy: number, source: number) => `vm-${policy}-${source}/0`;
const policyName = (policy: number) => `p-${policy}`;

/** The records of one policy and of its sources. */
function recordsOf(policy: number, { sources: count }: LargeOptions): Operation[] {
  const at = '2026-01-31T12:00:00.000Z';
  const sources = Array.from({ length: count }, (_, source) => sourceId(policy, source + 1));
  const name = policyName(policy);
  const record: PolicyRecord = {
    ...{ name, uid: `uid-${policy}`, description: '', sources, destination: DESTINATION, direction: 'all' },
    ...{ percent: 100, enabled: true, type: 'virtual', createdAt: at, updatedAt: at },
  };
  return [{ type: 'put', key: keyOf('policies', name), value: record }, ...sources.map(interfaceOf)];
}

function interfaceOf(id: string): Operation {
  const value: InterfaceRecord = { id, kind: 'vm', name: id, pool: 'pool-a', declared: true };
  return { type: 'put', key: keyOf('interfaces', id), value };
}

async function fill(data: string, options: LargeOptions): Promise<void> {
  const store = openSqliteStore(join(data, 'store.db'));
  const nodes = Array.from({ length: options.nodes }, (_, index) => `node-${index + 1}`);
  const ops: Operation[] = [
    { type: 'put', key: keyOf('domains', 'domain-1'), value: { name: 'domain-1', description: '' } },
    { type: 'put', key: keyOf('pools', 'pool-a'), value: { name: 'pool-a', description: '', domain: 'domain-1' } },
    ...nodes.map((name): Operation => {
      return { type: 'put', key: keyOf('nodes', name), value: { name, pool: 'pool-a', uid: `uid-${name}` } };
    }),
    interfaceOf(DESTINATION),
  ];
  await store.txn({ compare: [], ops });
  for (let policy = 1; policy <= options.policies; policy++) {
    await store.txn({ compare: [], ops: recordsOf(policy, options) });
  }
  await store.close();
}

export class LargeCluster {
  /** As of a lab: where the API is. */
  state = { apiPort: 0 };
  readonly #data: string;
  readonly #options: LargeOptions;
  #process: ChildProcess | undefined;
  #bench: Bench | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** With what each reports of its counters. */
  readonly #agents: { agent: TestAgent; text: string }[] = [];
  #seconds = 0;

  private constructor(options: LargeOptions) {
    this.#options = options;
    this.#data = mkdtempSync(join(tmpdir(), 'mirrorplane-large-'));
  }

  /** Starts the controller and the agents. Resolves when they report traffic. */
  static async start(options: LargeOptions): Promise<LargeCluster> {
    const cluster = new LargeCluster(options);
    try {
      await fill(cluster.#data, options);
      await cluster.#startController();
      for (let node = 1; node <= options.nodes; node++) {
        const agent = await cluster.#agent(node);
        cluster.#agents.push({ agent, text: reportText(node, options.sources) });
      }
      cluster.#timer = setInterval(() => cluster.#report(), 1000);
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Process id of the controller. */
  get pid(): number {
    return this.#process!.pid!;
  }

  get url(): string {
    return `http://127.0.0.1:${this.state.apiPort}`;
  }

  /** Value of the header `Authorization`. */
  get authorization(): string {
    return `Bearer ${readFileSync(join(this.#data, 'admin-token'), 'utf8').trim()}`;
  }

  /** A request of the API. */
  api(method: string, path: string, body?: unknown) {
    return this.#bench!.request(method, path, body);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { agent } of this.#agents) {
      agent.close();
    }
    const child = this.#process;
    if (child && child.exitCode === null) {
      child.kill();
      await once(child, 'exit');
    }
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #startController(): Promise<void> {
    const main = join(import.meta.dirname, '../src/main.ts');
    const listen = ['--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0'];
    const args = ['--disable-warning=ExperimentalWarning', main, '--data', this.#data, ...listen];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    const said: string[] = [];
    let started: { addresses: string[]; agentPort: number } | undefined;
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said.push(line);
      if (line.includes('"controller started"')) {
        started = JSON.parse(line);
      }
    });
    const { addresses, agentPort } = await until(
      'the controller to start',
      () => {
        assert.equal(child.exitCode, null, said.join('\n'));
        return started;
      },
      { limitMs: START_MS },
    );
    this.state.apiPort = Number(addresses[0]!.split(':').at(-1));
    this.#bench = Bench.at(this.#data, { addresses, agentPort });
  }

  /** An agent whose devices are the sources of the policy of the same number. */
  async #agent(node: number): Promise<TestAgent> {
    const name = `node-${node}`;
    const bench = this.#bench!;
    const { secret } = parseJoinToken(await bench.joinToken(name));
    const { csr, key } = await certificateRequest(name);
    const { body } = await bench.enroll({ node: name, secret, csr });
    const agent = await bench.connect({ key, ...body });
    agent.captures = Array.from({ length: this.#options.sources }, (_, source) => {
      const capture = captureId(`uid-${node}`, sourceId(node, source + 1));
      return { capture, device: `tap${source + 1}`, state: 'capturing' as const };
    });
    agent.hello(name);
    const own = node === 1 ? [device(DESTINATION, 20_000)] : [];
    const taps = Array.from({ length: this.#options.sources }, (_, source) => {
      return device(sourceId(node, source + 1), node * 2000 + source);
    });
    agent.inventory(...own, ...taps);
    await until('a program', () => agent.program !== undefined, { limitMs: START_MS });
    return agent;
  }

  /** Each agent says what its sources have counted so far. */
  #report(): void {
    this.#seconds += 1;
    const packets = this.#seconds * PACKETS;
    for (const { agent, text } of this.#agents) {
      const counted = text.replaceAll(`"packets":${FIRST.packets}`, `"packets":${packets}`);
      const weighed = counted.replaceAll(`"bytes":${FIRST.bytes}`, `"bytes":${packets * FRAME}`);
      agent.send(weighed.replace(`"readAt":${FIRST.readAt}`, `"readAt":${this.#seconds * 1000}`));
    }
  }
}

/** Numbers of the report that all others are made of, as text: making one anew each second would keep a CPU busy. */
const FIRST = { packets: 7_777_777, bytes: 8_888_888, readAt: 9_999_999 };

/** What an agent reports of the sources of one policy. */
function reportText(policy: number, sources: number): string {
  const count = { packets: FIRST.packets, bytes: FIRST.bytes };
  const counts = { matched: count, sampledOut: ZERO, copied: count, truncated: ZERO, dropped: {}, skipped: {} };
  const captures = Array.from({ length: sources }, (_, source) =>
    DIRECTIONS.map((direction) => {
      return { policy: `uid-${policy}`, source: sourceId(policy, source + 1), direction, counts };
    }),
  ).flat();
  const rest = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const report: CounterReport = { epoch: 'e', captures, ...rest };
  return JSON.stringify({ type: 'counters', reading: { run: 'r', readAt: FIRST.readAt }, report });
}

function device(id: string, number: number): Device {
  const mac = `02:00:00:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;
  const identity = { kind: 'vm' as const, id, name: id, provider: 'alias' as const };
  return { name: `tap${number}`, ifindex: number, mac, mtu: 1500, up: true, linkType: 'tun', identity };
}
