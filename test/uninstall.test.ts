/** The node is left as it was found. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';

import { foreignObject } from '../packages/agent/test/kernel/support/foreign.ts';
import { bpffsOf, pinnedLinks, tcxProgramSets, tcxPrograms } from './support/interfering.ts';
import { useLab } from './support/lab.ts';
import { picture } from './support/picture.ts';
import { activeEventually, createPolicy, deletePolicy } from './support/policy.ts';
import { PYTHON, ping } from './support/traffic.ts';

const lab = useLab({ bare: true });
const NODE = 'node-1';
const TAP = 'tap-web-1';
const POLICIES = [
  { name: 'out', sources: ['web-1/0'], destination: 'ids-1/0', maxRate: 500 },
  { name: 'in', sources: ['db-1/0'], destination: 'web-2/0' },
  { name: 'edge', sources: ['fw-1/0'], destination: 'edge-1', vlanId: 100 },
];

/** Runs the agent of the node with all kinds of policies, and traffic through them. */
async function run(): Promise<void> {
  await lab().startAgent(NODE);
  for (const { name } of POLICIES) {
    await activeEventually(lab(), name);
  }
  for (const from of ['web-1', 'db-1', 'fw-1']) {
    await ping(lab(), from, 'web-2', 5);
  }
}

const expedited = () => readFileSync('/sys/kernel/rcu_expedited', 'utf8').trim();
const EXPEDITED = expedited();

/**
 * Removes all of the agent's, and asserts that grace periods are as they were, as soon as no other
 * agent has them so.
 */
async function uninstall(): Promise<void> {
  await lab().uninstallAgent(NODE);
  await until(`rcu_expedited back at ${EXPEDITED}`, () => EXPEDITED === '1' || expedited() === '0');
}

test('an agent that ran policies and is uninstalled leaves its node as it found it', async () => {
  const before = await picture(lab(), NODE);
  await lab().startController();
  await lab().declare();
  for (const node of ['node-1', 'node-2']) {
    await lab().startAgent(node);
  }
  for (const policy of POLICIES) {
    await createPolicy(lab(), policy);
  }
  await run();

  const during = await picture(lab(), NODE);
  const added = during.links.map(({ ifname }) => ifname).filter((name) => !before.links.some((l) => l.ifname === name));
  assert.deepEqual(added.sort(), ['mirror0', 'mirror1', 'mirror2']);
  assert.notEqual(during.bpffs, 'absent');
  // On ingress also `arrive`, for unicast towards the mirrored guests of the same bridge: on each
  // of its ports.
  const programs = (device: string) => [during.tcx[device]!.ingress.length, during.tcx[device]!.egress.length];
  assert.deepEqual(programs(TAP), [2, 1]);
  assert.deepEqual(programs('tap-web-2'), [2, 0], 'a destination is watched, and what it receives is not captured');
  assert.deepEqual(programs('mgmt0'), [0, 0], 'nothing hangs on a device without a part in it');

  await lab().stopAgent(NODE);
  assert.notEqual((await picture(lab(), NODE)).bpffs, 'absent', 'a stopped agent leaves the data plane working');
  await uninstall();
  assert.deepEqual(await picture(lab(), NODE), before);
});

test('a second uninstall finds nothing to do', async () => {
  const before = await picture(lab(), NODE);
  await lab().uninstallAgent(NODE);
  assert.deepEqual(await picture(lab(), NODE), before);
});

const cleanups: (() => unknown)[] = [];
after(async () => {
  for (const cleanup of cleanups) {
    await cleanup();
  }
});

/** Things of others on the node: programs around ours, qdiscs, filters, rules, neighbours, pins. */
async function furnish(): Promise<() => Promise<void>> {
  const exec = (...argv: string[]) => lab().exec(NODE, argv);
  const hold = async (hook: string) => {
    const script = join(import.meta.dirname, 'support', 'foreign_tcx.py');
    const child = lab().spawn(NODE, [PYTHON, script, foreignObject(), 'go_on', TAP, hook], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanups.push(() => child.kill('SIGKILL'));
    await once(child.stdout!, 'data');
    return child;
  };
  const first = await hold('ingress');
  const second = await hold('ingress');
  const third = await hold('egress');
  await exec('tc', 'qdisc', 'add', 'dev', TAP, 'clsact');
  const match = ['protocol', 'all', 'u32', 'match', 'u8', '0', '0', 'flowid', '1:1'];
  await exec('tc', 'filter', 'add', 'dev', TAP, 'ingress', 'pref', '7', ...match);
  await exec('tc', 'qdisc', 'replace', 'dev', TAP, 'root', 'pfifo', 'limit', '77');
  const rules = 'table bridge theirs {\n chain c {\n type filter hook forward priority 0;\n udp dport 9 drop\n }\n}\n';
  await lab().exec(NODE, ['nft', '-f', '-'], { input: rules });
  await exec('ip', 'neigh', 'add', '10.98.0.77', 'lladdr', '02:00:00:00:77:77', 'dev', 'underlay0', 'nud', 'permanent');
  await exec('ip', 'neigh', 'add', '10.98.0.78', 'dev', 'underlay0', 'managed');
  return async () => {
    for (const child of [first, second, third]) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    await exec('tc', 'qdisc', 'del', 'dev', TAP, 'clsact');
    await exec('tc', 'qdisc', 'del', 'dev', TAP, 'root');
    await exec('nft', 'delete table bridge theirs');
    for (const address of ['10.98.0.77', '10.98.0.78']) {
      await exec('ip', 'neigh', 'del', address, 'dev', 'underlay0');
    }
  };
}

test('after interference, a kill in the middle, and beside things of others, all of theirs stays and all of ours goes', async () => {
  const bare = await picture(lab(), NODE);
  const clear = await furnish();
  const before = await picture(lab(), NODE);
  await run();
  const other = {
    node: await tcxPrograms(lab(), 'node-2'),
    pins: readdirSync(bpffsOf(lab(), 'node-2'), { recursive: true }),
  };

  const wanted = await tcxProgramSets(lab(), NODE);
  for (const path of pinnedLinks(lab(), NODE, 'capture_ingress')) {
    await lab().exec(NODE, ['bpftool', 'link', 'detach', 'pinned', path]);
  }
  for (const path of pinnedLinks(lab(), NODE, 'capture_egress')) {
    rmSync(path);
  }
  await lab().exec(NODE, ['ip', 'link', 'del', 'mirror0']);
  await until('repair', async () => {
    const { mirror0, mirror1: _, ...rest } = await tcxProgramSets(lab(), NODE);
    const { mirror0: helper, mirror1: __, ...all } = wanted;
    return mirror0?.flat().length === helper!.flat().length && JSON.stringify(rest) === JSON.stringify(all);
  });
  // In our own folder, even.
  const folder = bpffsOf(lab(), NODE);
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const map = ['type', 'hash', 'key', '4', 'value', '4', 'entries', '1', 'name', 'theirs'];
  await lab().exec(NODE, ['bpftool', 'map', 'create', join(folder, 'theirs'), ...map]);
  // In the middle of taking its captures off.
  const killed = lab().stopAgent(NODE, 'SIGKILL');
  await deletePolicy(lab(), 'edge');
  await killed;
  await uninstall();
  assert.deepEqual(await picture(lab(), NODE), { ...before, bpffs: ['theirs'] });
  rmSync(folder, { recursive: true });
  assert.deepEqual(
    { node: await tcxPrograms(lab(), 'node-2'), pins: readdirSync(bpffsOf(lab(), 'node-2'), { recursive: true }) },
    other,
    'the agent of another node is not touched',
  );
  await clear();
  assert.deepEqual(await picture(lab(), NODE), bare);
});

test('the traffic of the node passes as before', async () => {
  await ping(lab(), 'web-1', 'app-1', 20);
});
