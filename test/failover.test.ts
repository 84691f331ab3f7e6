/**
 * Three controllers over three members of etcd, on a lab with real agents and real copies. The
 * leader is killed again and again: what agents, clients of the API and copies notice of it.
 * `make failover KILLS=50` measures it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyInput } from '@mirrorplane/contract';
import { type LabController, LabControllers } from './support/controllers.ts';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { startPings } from './support/traffic.ts';

const KILLS = Number(process.env.KILLS ?? 2);
/** Milliseconds that one kill with all around it may take on a loaded machine. */
const KILL_MS = 120_000;
/** Milliseconds after which a place is free though nobody has taken it away. */
const LEASE_MS = 10_000;
/** Pings of one kill, and seconds between two: longer than another controller needs. */
const PINGS = 600;
const INTERVAL = 0.01;
const POLICY: PolicyInput = { name: 'steady', sources: ['web-1/0'], destination: 'ids-1/0' };
const FAST = { limitMs: 60_000, pauseMs: 10 };

const lab = useLab();

interface Times {
  /** Milliseconds until a change by each of the others succeeded. */
  api: number[];
  /** Milliseconds until each agent was connected to the new leader. */
  agents: number[];
}

/** Names of the nodes whose agents are connected, as a controller answers. */
async function connectedNodes(by: LabController): Promise<string[]> {
  const { body } = await by.call('GET', '/api/v1/nodes?limit=100');
  const { items = [] } = (body ?? {}) as { items?: { name: string; connected: boolean }[] };
  return items.filter(({ connected }) => connected).map(({ name }) => name);
}

/** Kills the leader, and measures how soon everybody has found another one. */
async function killLeader(
  controllers: LabControllers,
  round: number,
  acknowledged: string[],
): Promise<{ times: Times; killed: LabController }> {
  const killed = await controllers.leader();
  const others = controllers.all.filter((one) => one !== killed);
  await killed.kill();
  const began = performance.now();
  const since = () => performance.now() - began;
  const api = others.map(async (one, index) => {
    const name = `round-${round}-${index}`;
    const isMade = async () => [200, 201].includes((await one.call('PUT', `/api/v1/domains/${name}`, {})).status);
    await until('a change succeeds', isMade, FAST);
    acknowledged.push(name);
    return since();
  });
  const seen = new Map<string, number>();
  const nodes = lab().topology.nodes.map(({ name }) => name);
  await until(
    'all agents at the new leader',
    async () => {
      for (const name of (await connectedNodes(others[0]!)).filter((node) => !seen.has(node))) {
        seen.set(name, since());
      }
      return nodes.every((name) => seen.has(name));
    },
    FAST,
  );
  return { killed, times: { api: await Promise.all(api), agents: [...seen.values()] } };
}

/** `p50 0.7 s, p99 1.2 s, longest 1.2 s`. */
function summary(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
  const text = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  return `p50 ${text(at(0.5))}, p99 ${text(at(0.99))}, longest ${text(sorted.at(-1)!)} (${sorted.length} times)`;
}

test(`the leader is killed ${KILLS} times: another one leads, agents find it, no copy and no acknowledged change is lost`, {
  timeout: KILLS * KILL_MS,
}, async (t) => {
  const controllers = await LabControllers.start(lab());
  t.after(() => controllers.close(), { timeout: 120_000 });
  // An agent learns the addresses of all controllers when it is connected.
  const count = lab().topology.nodes.length;
  await until(
    'all agents are connected',
    async () => (await connectedNodes(await controllers.leader())).length === count,
    FAST,
  );
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'steady');
  const all: Times = { api: [], agents: [] };
  const acknowledged: string[] = [];
  let copies = 0;
  for (let round = 0; round < KILLS; round++) {
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
      const running = startPings(lab(), 'web-1', 'app-1', PINGS, { interval: INTERVAL });
      try {
        await captures.destination.waitFor(20);
        const { killed, times } = await killLeader(controllers, round, acknowledged);
        all.api.push(...times.api);
        all.agents.push(...times.agents);
        await running.done();
        killed.start();
        await until('the killed one serves', async () => (await killed.call('GET', '/readyz')).status === 200, FAST);
      } finally {
        running.stop();
      }
      await captures.destination.waitFor(2 * PINGS);
    });
    assert.equal(seen.destination.packets, 2 * PINGS, `copies around kill ${round + 1}`);
    copies += seen.destination.packets;
  }
  const [one] = controllers.all;
  const there = await one!.call('GET', '/api/v1/domains?limit=1000');
  const names = new Set((there.body as { items: { name: string }[] }).items.map(({ name }) => name));
  assert.deepEqual(
    acknowledged.filter((name) => !names.has(name)),
    [],
    'acknowledged changes',
  );
  t.diagnostic(`a change by another controller succeeds: ${summary(all.api)}`);
  t.diagnostic(`an agent is connected to the new leader: ${summary(all.agents)}`);
  t.diagnostic(`copies: ${copies} of ${copies} came once, ${acknowledged.length} acknowledged changes are there`);
  assert.ok(Math.max(...all.api, ...all.agents) < LEASE_MS, 'nobody waited for the lease');
});
