/**
 * Three controllers over three members of etcd, on a lab with real agents and real copies. The
 * leader is ended again and again, in turn by a kill, in order, and so that it hangs: what agents,
 * clients of the API, a tab of the console and copies notice of it. `make failover KILLS=50` measures
 * it, and prints a table.
 */
import assert from 'node:assert/strict';
import { loadavg } from 'node:os';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyInput } from '@mirrorplane/contract';
import { LabControllers } from './support/controllers.ts';
import { connectedNodes, ENDS, endLeader, runAgain, type Times, table } from './support/failover.ts';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { startPings } from './support/traffic.ts';

const KILLS = Number(process.env.KILLS ?? 3);
/** Milliseconds that one round may take on a loaded machine. */
const ROUND_MS = 120_000;
/** Milliseconds after which a place is free though nobody has taken it away. */
const LEASE_MS = 10_000;
/** Milliseconds after which everybody should have found another leader. */
const SLOW_MS = 2000;
/** Pings of one round, and seconds between two: longer than another controller needs. */
const PINGS = 600;
const INTERVAL = 0.01;
const POLICY: PolicyInput = { name: 'steady', sources: ['web-1/0'], destination: 'ids-1/0' };
const LIMIT = { limitMs: 60_000, pauseMs: 20 };

const lab = useLab();

test(`the leader ends ${KILLS} times: another one leads, all find it, no copy and no acknowledged change is lost`, {
  timeout: KILLS * ROUND_MS,
}, async (t) => {
  const controllers = await LabControllers.start(lab());
  t.after(() => controllers.close(), { timeout: 120_000 });
  const nodes = lab().topology.nodes.map(({ name }) => name);
  // An agent learns the addresses of all controllers when it is connected.
  const areThere = async () => (await connectedNodes(await controllers.leader())).length === nodes.length;
  await until('all agents are connected', areThere, LIMIT);
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'steady');
  const all: Times[] = [];
  const acknowledged: string[] = [];
  const copies = { came: 0, wanted: 0 };
  for (let round = 0; round < KILLS; round++) {
    const end = ENDS[round % ENDS.length]!;
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
      const running = await startPings(lab(), 'web-1', 'app-1', PINGS, { interval: INTERVAL });
      try {
        await captures.destination.waitFor(20);
        const { ended, times, logs } = await endLeader({ controllers, end, round, nodes, acknowledged });
        all.push(times);
        const longest = Math.max(...times.api, ...times.agents, times.browser);
        t.diagnostic(`round ${round + 1}: ${end}, ${(longest / 1000).toFixed(2)} s, load ${loadavg()[0]!.toFixed(1)}`);
        if (longest > SLOW_MS) {
          t.diagnostic(`slow: ${JSON.stringify(times)}\n${logs}`);
        }
        await running.done();
        await runAgain(ended, end);
      } finally {
        running.stop();
      }
      // Copies that do not come are counted at the end.
      await captures.destination.waitFor(2 * PINGS).catch(() => undefined);
    });
    copies.came += seen.destination.packets;
    copies.wanted += 2 * PINGS;
  }
  const [one] = controllers.all;
  const there = await one!.call('GET', '/api/v1/domains?limit=1000');
  const names = new Set((there.body as { items: { name: string }[] }).items.map(({ name }) => name));
  const lost = acknowledged.filter((name) => !names.has(name));
  t.diagnostic(`\n${table(all)}`);
  t.diagnostic(`copies: ${copies.wanted - copies.came} of ${copies.wanted} lost`);
  t.diagnostic(`acknowledged changes: ${lost.length} of ${acknowledged.length} lost`);
  assert.deepEqual(copies, { came: copies.wanted, wanted: copies.wanted });
  assert.deepEqual(lost, []);
  const longest = Math.max(...all.flatMap(({ api, agents, browser }) => [...api, ...agents, browser]));
  assert.ok(longest < LEASE_MS, 'nobody waited for the lease');
});
