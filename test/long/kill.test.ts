/**
 * Agents and the controller are killed again and again while policies and devices change: mirroring
 * notices nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@mirrorplane/base';

import { bpffsOf, pinnedLinkIds } from '../support/interfering.ts';
import { useLab } from '../support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  statusEventually,
  withPolicy,
} from '../support/policy.ts';
import { watch } from '../support/taps.ts';
import { PYTHON, startPings } from '../support/traffic.ts';

/** How often; `make soak` asks for more. */
const KILLS = Number(process.env.KILLS ?? 4);
const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e6));
const PACER = join(import.meta.dirname, '../../packages/agent/test/kernel/support/pacer.py');
/** Milliseconds until everything must have settled after a kill, on a loaded machine. */
const CALM_MS = 60_000;
const NODES = ['node-1', 'node-2'];

const lab = useLab({ nodes: 2, vmsPerNode: 2, switch: false });

/** Numbers from 0 to 1, the same for a seed (Park and Miller). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const bpffs = (node: string) => bpffsOf(lab(), node);
const links = (node: string) => pinnedLinkIds(lab(), node);

/** Kills a daemon of the lab without a word to anybody. */
async function kill(name: string): Promise<void> {
  const record = lab().state.processes.find((process) => process.name === name);
  assert.ok(record, `${name} runs`);
  process.kill(record.pid, 'SIGKILL');
  await until(`${name} to be gone`, () => {
    try {
      process.kill(record.pid, 0);
      return readFileSync(`/proc/${record.pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return true;
    }
  });
}

/**
 * Pings and unicast ARP from web-1 to db-1 until stopped. Returns how many copies there must be of
 * it.
 */
async function startTraffic(): Promise<{ stop(): Promise<{ pings: number; arps: number }> }> {
  const [from, to] = ['web-1', 'db-1'];
  const pings = await startPings(lab(), from, to, 10_000_000, { interval: 0.01 });
  const hex = (mac: string) => mac.replaceAll(':', '');
  const ip = (address: string) => Buffer.from(address.split('.').map(Number)).toString('hex');
  // An answer that nobody has asked for, and that says nothing new; behind it there is room for a
  // number.
  const arp = `${hex(lab().mac(to))}${hex(lab().mac(from))}08060001080006040002${hex(lab().mac(from))}${ip(lab().address(from))}${hex(lab().mac(to))}${ip(lab().address(to))}${'00'.repeat(22)}`;
  const pacer = lab().spawn(from, [PYTHON, PACER, '0.02', `eth0:${arp}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  pacer.stdout!.on('data', (chunk: Buffer) => {
    told += chunk;
  });
  const closed = once(pacer, 'close');
  return {
    async stop() {
      pacer.stdin!.end();
      const [sent] = await Promise.all([pings.end(), closed]);
      return { pings: sent, arps: (JSON.parse(told) as { eth0: number }).eth0 };
    },
  };
}

/**
 * What an operator and the VMs do meanwhile: policies come, change and go, and VMs move. Errors of
 * a dead controller are expected.
 */
class Churn {
  readonly #random: () => number;
  readonly #policies = ['vm-1-1', 'vm-1-2', 'vm-2-1'];
  #stopped = true;
  #running: Promise<void>[] = [];
  refused: string[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  start(): void {
    this.#stopped = false;
    this.#running = [this.#operate(), this.#move()];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }

  async #operate(): Promise<void> {
    while (!this.#stopped) {
      const vm = this.#pick(this.#policies);
      const url = `/api/v1/policies/churn-${vm}`;
      const change = {
        percent: this.#pick([0, 12.5, 50, 100]),
        direction: this.#pick(['all', 'inbound', 'outbound']),
        enabled: this.#random() < 0.8,
      };
      const body = { sources: [`${vm}/0`], destination: this.#pick(['vm-2-2/0', 'fw-1/0']), ...change };
      try {
        const { status, body: answer } = await (this.#random() < 0.3
          ? lab().api('DELETE', url)
          : lab().api('PUT', url, body));
        if (status >= 300 && status !== 404) {
          this.refused.push(`${status} ${JSON.stringify(answer)}`);
        }
      } catch {
        // The controller is down.
      }
      await delay(20);
    }
  }

  async #move(): Promise<void> {
    while (!this.#stopped) {
      await lab().migrate(this.#pick(this.#policies), this.#pick(NODES));
      await delay(50);
    }
  }
}

/**
 * Programs at the hooks of a node, pins of links and folders of programs: none double, none left
 * over.
 */
async function assertNothingDouble(node: string): Promise<void> {
  const script = join(import.meta.dirname, '../support/tcx.py');
  const { stdout } = await lab().exec(node, [PYTHON, script]);
  const hooks = JSON.parse(stdout) as Record<string, { ingress: number; egress: number }>;
  const programs = Object.values(hooks).reduce((sum, { ingress, egress }) => sum + ingress + egress, 0);
  assert.equal(programs, Object.keys(await links(node)).length, `${node}: a pin for each program: ${stdout}`);
  assert.equal(readdirSync(bpffs(node)).filter((name) => name.startsWith('programs')).length, 1);
}

/**
 * Waits until every node runs its newest program and the policy is active. Returns the revisions of
 * the programs.
 */
async function calm(): Promise<number[]> {
  let revisions: number[] = [];
  await until(
    'every node to run its newest program',
    async () => {
      const nodes = await Promise.all(
        NODES.map(async (node) => (await lab().api('GET', `/api/v1/nodes/${node}`)).body),
      );
      revisions = nodes.map(({ programRevision }) => programRevision);
      return nodes.every(
        ({ connected, programRevision, appliedRevision }) => connected && programRevision === appliedRevision,
      );
    },
    { limitMs: CALM_MS },
  );
  await statusEventually(lab(), 'steady', 'active', ({ state, stale }) => state === 'active' && !stale, CALM_MS);
  return revisions;
}

test(`${KILLS} kills of agents and controller, under traffic and changes: no copy missing or double, no original lost, nothing attached twice, counters go on`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seeded(SEED);
  const churn = new Churn(random);
  const kills: Record<string, number> = {};
  await withPolicy(lab(), { name: 'steady', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    const before = { 'node-1': await links('node-1'), 'node-2': await links('node-2') };
    let expected = 0;
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
      const traffic = await startTraffic();
      await captures.destination.waitFor(20);
      for (let n = 0; n < KILLS; n++) {
        churn.start();
        await delay(random() * 700);
        const victim = ['agent-node-1', 'agent-node-2', 'agent-node-1', 'controller'][Math.floor(random() * 4)]!;
        kills[victim] = (kills[victim] ?? 0) + 1;
        if (victim === 'controller' && random() < 0.5) {
          // If nothing else changes, its restart alone must not change any program.
          await churn.stop();
          const plan = await calm();
          await kill(victim);
          await lab().startController();
          assert.deepEqual(await calm(), plan, 'the plan is the same after the restart');
        } else {
          await kill(victim);
          await delay(random() * 200);
          if (victim === 'controller') {
            await lab().startController();
          } else {
            await lab().startAgent(victim.slice('agent-'.length));
          }
          await churn.stop();
          await calm();
        }
        for (const node of NODES) {
          await assertNothingDouble(node);
        }
      }
      const { pings, arps } = await traffic.stop();
      expected = 2 * pings + arps;
      await captures.destination.waitFor(expected, CALM_MS);
    });
    t.diagnostic(`killed ${JSON.stringify(kills)}; ${expected} copies expected, ${seen.destination.packets} seen`);
    assert.equal(seen.destination.packets, expected, 'copies at the destination');
    assert.deepEqual(churn.refused, []);
    for (const [node, ids] of Object.entries(before)) {
      const after = await links(node);
      // When a VM moves away, its port is removed, and with it the programs there.
      const stays = Object.keys(ids).filter((key) => after[key] !== undefined || !key.includes('arrive'));
      const of = (from: Record<string, number>) => Object.fromEntries(stays.map((key) => [key, from[key]]));
      assert.deepEqual(of(after), of(ids), `links of ${node} stay`);
    }
    const status = await countedEventually(lab(), 'steady', expected);
    assert.deepEqual(packets(status.totals), allCopied(expected), 'counters go on');
    assert.equal(status.delivered?.packets, expected);
    assertSumsClose(status);
    await activeEventually(lab(), 'steady');
    const { items } = (await lab().api('GET', '/api/v1/policies')).body;
    for (const { name } of items) {
      if (name !== 'steady') {
        await lab().api('DELETE', `/api/v1/policies/${name}`);
      }
    }
  });
});

test('the logs of agents and controller hold no error after all this', () => {
  const folder = join(lab().runDir, 'logs');
  for (const name of readdirSync(folder)) {
    const errors = readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter((line) => /"level":"(error|fatal)"/.test(line));
    assert.deepEqual(errors, [], name);
  }
});
