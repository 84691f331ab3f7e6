/** The data plane continues without agent and controller, and both take over the existing state. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyInput } from '@mirrorplane/contract';

import { asUser } from '@mirrorplane/lab/testing';
import { bpffsOf, pinnedLinkIds } from './support/interfering.ts';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  programEventually,
  programRevision,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping, startPings } from './support/traffic.ts';

const lab = useLab();
const POLICY: PolicyInput = { name: 'steady', sources: ['web-1/0'], destination: 'ids-1/0' };
/**
 * Pings of one test, and seconds between two: traffic for a few seconds, longer than a restart
 * takes.
 */
const PINGS = 350;
const INTERVAL = 0.01;

const bpffs = (node: string) => bpffsOf(lab(), node);
const links = (node: string) => pinnedLinkIds(lab(), node);

/** Links of the nodes that the policy runs on. */
async function allLinks() {
  return { 'node-1': await links('node-1'), 'node-2': await links('node-2') };
}

function daemonPid(name: string): number | undefined {
  return lab().state.processes.find((process) => process.name === name)?.pid;
}

/**
 * Runs traffic, and `work` in the middle of it: `work` begins when copies flow. Asserts that the
 * destination gets every copy of the whole time exactly once.
 */
async function underTraffic(work: (copies: () => Promise<number>) => Promise<void>): Promise<void> {
  const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
    const running = await startPings(lab(), 'web-1', 'app-1', PINGS, { interval: INTERVAL });
    try {
      await captures.destination.waitFor(20);
      await work(captures.destination.count);
      assert.ok((await captures.destination.count()) < 2 * PINGS, 'the traffic has lasted to the end of the restart');
      await running.done();
    } finally {
      running.stop();
    }
    await captures.destination.waitFor(2 * PINGS);
  });
  assert.equal(seen.destination.packets, 2 * PINGS);
}

/** Waits until the copies have grown by 40: some time has passed in which the data plane worked. */
async function someCopies(copies: () => Promise<number>): Promise<void> {
  const before = await copies();
  await until('more copies', async () => (await copies()) >= before + 40, { limitMs: 5000 });
}

for (const node of ['node-1', 'node-2']) {
  const side = node === 'node-1' ? 'the source' : 'the destination';
  test(`the agent on the node of ${side} is killed and starts again: no copy is missing, nothing is attached again, counters continue`, async () => {
    await withPolicy(lab(), POLICY, async () => {
      const before = await allLinks();
      await underTraffic(async (copies) => {
        await lab().stopAgent(node, 'SIGKILL');
        const down = await statusEventually(lab(), 'steady', 'shows that the agent is gone', ({ stale }) => stale);
        assert.ok(down.reasons.some((reason) => reason.code === 'NODE_DISCONNECTED' && reason.node === node));
        await someCopies(copies);
        await lab().startAgent(node);
        await activeEventually(lab(), 'steady');
        assert.deepEqual(await allLinks(), before);
      });
      const status = await countedEventually(lab(), 'steady', 2 * PINGS);
      assert.deepEqual(packets(status.totals), allCopied(2 * PINGS));
      assert.equal(status.delivered?.packets, 2 * PINGS);
      assertSumsClose(status);
      assert.deepEqual(await allLinks(), before);
    });
  });
}

test('the controller is killed and starts again: copies continue, policies are there, nothing is attached again', async () => {
  await withPolicy(lab(), POLICY, async () => {
    const before = await allLinks();
    const { body: policy } = await lab().api('GET', '/api/v1/policies/steady');
    const agents = ['agent-node-1', 'agent-node-2'].map(daemonPid);
    await underTraffic(async (copies) => {
      await lab().stopController('SIGKILL');
      await someCopies(copies);
      await lab().startController();
      assert.deepEqual((await lab().api('GET', '/api/v1/policies/steady')).body, policy);
      await activeEventually(lab(), 'steady');
    });
    const status = await countedEventually(lab(), 'steady', 2 * PINGS);
    assert.deepEqual(packets(status.totals), allCopied(2 * PINGS));
    assertSumsClose(status);
    assert.deepEqual(await allLinks(), before);
    assert.deepEqual(['agent-node-1', 'agent-node-2'].map(daemonPid), agents, 'the agents were not restarted');
  });
});

test('the controller is killed and starts again: counters that it shows as new are never behind', async () => {
  await withPolicy(lab(), POLICY, async () => {
    await ping(lab(), 'web-1', 'app-1', 50);
    await countedEventually(lab(), 'steady', 100);
    await lab().stopController('SIGKILL');
    const restarted = new Date().toISOString();
    await lab().startController();
    await statusEventually(lab(), 'steady', 'counters known again', ({ countersAt, stale, totals }) => {
      // Until every node has reported, the sums are unknown or those that were saved before, and
      // their time says so.
      const known = countersAt !== null && countersAt >= restarted;
      if (known) {
        assert.equal(totals.matched.packets, 100);
      }
      return known && !stale;
    });
    await ping(lab(), 'web-1', 'app-1', 50);
    const status = await countedEventually(lab(), 'steady', 200);
    assert.deepEqual(packets(status.totals), allCopied(200));
    assert.equal(status.delivered?.packets, 200);
  });
});

for (const order of [
  ['agent', 'controller'],
  ['controller', 'agent'],
] as const) {
  test(`counters of removed entries are in the totals after kills of first the ${order[0]} and then the ${order[1]}, before they were saved`, async () => {
    const saves = join(lab().runDir, 'controller', 'counters');
    await withPolicy(lab(), POLICY, async () => {
      // Without their folder, none of the totals from now on can be saved.
      renameSync(saves, `${saves}-away`);
      await ping(lab(), 'web-1', 'app-1', 50);
      await countedEventually(lab(), 'steady', 100);
      const nodes = ['node-1', 'node-2'];
      const revisions = await Promise.all(nodes.map((node) => programRevision(lab(), node)));
      const { body: policy } = await lab().api('PATCH', '/api/v1/policies/steady', { enabled: false });
      assert.equal(policy.enabled, false);
      await Promise.all(nodes.map((node, i) => programEventually(lab(), node, revisions[i]!)));
      const kill = {
        agent: () => Promise.all(nodes.map((node) => lab().stopAgent(node, 'SIGKILL'))),
        controller: () => lab().stopController('SIGKILL'),
      };
      for (const one of order) {
        await kill[one]();
      }
      assert.equal(existsSync(saves), false);
      renameSync(`${saves}-away`, saves);
      await lab().startController();
      await Promise.all(nodes.map((node) => lab().startAgent(node)));
      const status = await countedEventually(lab(), 'steady', 100);
      assert.deepEqual(packets(status.totals), allCopied(100));
      assert.equal(status.delivered?.packets, 100);
      assertSumsClose(status);
    });
  });
}

test('an agent that starts while the controller is down applies the program that it has stored', async () => {
  await withPolicy(lab(), POLICY, async () => {
    await lab().stopAgent('node-1', 'SIGKILL');
    await lab().stopController();
    const command = ['agent', '--node', 'node-1', '--data', join(lab().runDir, 'agents', 'node-1')];
    // As after a reboot of the node: nothing of ours is in the kernel any more.
    for (const name of readdirSync(join(bpffs('node-1'), 'links'))) {
      await lab().exec('node-1', ['rm', join(bpffs('node-1'), 'links', name)]);
    }
    await pingedCopies(0);
    const argv = [lab().state.command, ...command, '--bpffs', bpffs('node-1')];
    argv.push('--controller', '10.99.0.1:7071', '--mirror-device', 'underlay0');
    const agent = lab().spawn('node-1', asUser('agent', argv), { stdio: 'ignore' });
    try {
      await until('captures attached', () => readdirSync(join(bpffs('node-1'), 'links')).length >= 4, {
        limitMs: 15_000,
      });
      await pingedCopies(40);
    } finally {
      const ended = new Promise((resolve) => agent.once('exit', resolve));
      agent.kill('SIGTERM');
      await ended;
      await lab().startController();
      await lab().startAgent('node-1');
    }
    await activeEventually(lab(), 'steady');
    await pingedCopies(40);
  });
});

/** Sends 20 pings. The destination must get this number of copies. */
async function pingedCopies(expected: number): Promise<void> {
  const taps = { source: { host: 'web-1' }, destination: { host: 'ids-1' } };
  const seen = await watch(lab(), taps, async (captures) => {
    await ping(lab(), 'web-1', 'app-1', 20);
    await captures.source.waitFor(40);
    await captures.destination.waitFor(expected);
  });
  assert.equal(seen.destination.packets, expected);
}

test('the agents’ logs hold no error after all this', () => {
  for (const node of ['node-1', 'node-2', 'node-3', 'node-4']) {
    const log = readFileSync(join(lab().runDir, 'logs', `agent-${node}.log`), 'utf8');
    const errors = log.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line));
    assert.deepEqual(errors, [], node);
  }
});
