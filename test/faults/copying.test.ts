/**
 * Copying goes on, exactly, while the controller and its store fail: numbered pings flow all the
 * time, and each is copied once.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { useLab } from '../support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  programRevision,
  withPolicy,
} from '../support/policy.ts';
import { watch } from '../support/taps.ts';
import { startPings } from '../support/traffic.ts';

/** Addresses of the members in the namespace of the controller. */
const MEMBERS = [1, 2, 3].map((number) => ({ name: `m${number}`, address: `127.0.77.${number}` }));
const ENDPOINTS = MEMBERS.map(({ address }) => `http://${address}:2379`).join();

const lab = useLab({ bare: true, nodes: 2, switch: false, controllerArguments: ['--etcd', ENDPOINTS] });
const POLICY = { name: 'steady', sources: ['web-1/0'], destination: 'ids-1/0' };
/** Pings, and seconds between two. They last longer than all faults together. */
const PINGS = 12_000;
const INTERVAL = 0.01;
/** Longer than the lease of the controller in etcd. */
const BEYOND_LEASE_MS = 12_000;

let members: ChildProcess[] = [];

function startMember({ name, address }: (typeof MEMBERS)[number]): ChildProcess {
  const [client, peer] = [`http://${address}:2379`, `http://${address}:2380`];
  const argv = [
    ...['etcd', `--name=${name}`, `--data-dir=${join(lab().runDir, name)}`, '--log-level=error', '--logger=zap'],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    `--initial-cluster=${MEMBERS.map((one) => `${one.name}=http://${one.address}:2380`)}`,
  ];
  return lab().spawn('ctl', argv, { stdio: 'ignore' });
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

const health = () =>
  lab().exec('ctl', ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${ENDPOINTS}`, 'endpoint', 'health'], {
    check: false,
  });

async function etcdAnswers(): Promise<void> {
  await until('etcd answers', async () => (await health()).code === 0, { limitMs: 60_000, pauseMs: 50 });
}

/** Drops packets of the agents' connections in the namespace of the controller. */
async function cutAgents(match: 'input' | 'output'): Promise<void> {
  const port = match === 'input' ? 'dport' : 'sport';
  const input = `table inet cut {
    chain c {
      type filter hook ${match} priority 0
      tcp ${port} 7071 counter drop
    }
  }
`;
  await lab().exec('ctl', ['nft', '-f', '-'], { input });
  await sleep(4000);
  await lab().exec('ctl', ['nft', 'delete', 'table', 'inet', 'cut']);
}

const controllerPid = () => lab().state.processes.find(({ name }) => name === 'controller')!.pid;

/** Each fault, taken away again. */
const FAULTS: Record<string, () => Promise<void>> = {
  async 'etcd hangs'() {
    for (const member of members) {
      member.kill('SIGSTOP');
    }
    await sleep(3000);
    for (const member of members) {
      member.kill('SIGCONT');
    }
  },
  async 'etcd is killed'() {
    await Promise.all(members.map(kill));
    await sleep(1000);
    members = MEMBERS.map(startMember);
    await etcdAnswers();
  },
  'requests of the agents do not arrive': () => cutAgents('input'),
  'answers to the agents do not arrive': () => cutAgents('output'),
  async 'the controller is killed'() {
    await lab().stopController('SIGKILL');
    await lab().startController();
  },
  async 'the controller hangs until another one may have its place'() {
    const pid = controllerPid();
    process.kill(pid, 'SIGSTOP');
    await sleep(BEYOND_LEASE_MS);
    process.kill(pid, 'SIGCONT');
    await until('it has noticed, and has ended', () => !isAlive(pid), { limitMs: 30_000 });
    await lab().startController();
  },
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function startAll(): Promise<void> {
  members = MEMBERS.map(startMember);
  await etcdAnswers();
  await lab().startController();
  await lab().declare();
  await Promise.all(lab().topology.nodes.map(({ name }) => lab().startAgent(name)));
}

test('each packet is copied once while etcd, the controller and the way to the agents fail', async (t) => {
  await startAll();
  await withPolicy(lab(), POLICY, async () => {
    const revision = await programRevision(lab(), 'node-1');
    let sent = 0;
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async ({ destination }) => {
      const running = await startPings(lab(), 'web-1', 'db-1', PINGS, { interval: INTERVAL });
      await destination.waitFor(20);
      for (const [fault, run] of Object.entries(FAULTS)) {
        const from = await destination.count();
        const began = performance.now();
        await run();
        await activeEventually(lab(), 'steady');
        const copies = (await destination.count()) - from;
        t.diagnostic(`${fault}: ${Math.round(performance.now() - began)} ms, ${copies} copies meanwhile`);
        assert.ok(copies > 50, `${fault}: copying went on`);
      }
      sent = await running.end();
      await destination.waitFor(2 * sent);
    });
    assert.equal(seen.destination.packets, 2 * sent);
    const status = await countedEventually(lab(), 'steady', 2 * sent);
    assert.deepEqual(packets(status.totals), allCopied(2 * sent));
    assert.equal(status.delivered?.packets, 2 * sent);
    assertSumsClose(status);
    t.diagnostic(`sent ${2 * sent}, delivered ${status.delivered?.packets}`);
    assert.equal(await programRevision(lab(), 'node-1'), revision, 'no program was changed');
  });
});
