/**
 * Other software removes parts of the data plane, or attaches in front. It is repaired within a
 * second, and programs of others stay.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';

import { foreignObject } from '../packages/agent/test/kernel/support/foreign.ts';
import {
  bpffsOf,
  FLOWS,
  foreignState,
  interfere,
  ip,
  ipLink,
  pinnedLinks,
  startFlows,
  tcxProgramSets,
  tcxPrograms,
} from './support/interfering.ts';
import { useLab } from './support/lab.ts';
import type { Numbered } from './support/numbered.ts';
import { activeEventually, policyStatus, statusEventually } from './support/policy.ts';
import { PYTHON } from './support/traffic.ts';

const lab = useLab({ vmsPerNode: 1 });
const NODE = 'node-1';
const TAP = 'tap-web-1';
const ALL = Object.keys(FLOWS);
const CHANGED = ALL.filter((name) => !name.startsWith('local'));
let traffic: Numbered;

after(() => traffic?.stop());

const ifindex = async (device: string) => (await ipLink(lab(), NODE, device))!.ifindex;
const told = (words: RegExp, node = NODE) => ({ told: { lab: lab(), node, words } });
const programsOf = async (device: string) => (await tcxPrograms(lab(), NODE))[device]!;
const programSetOf = async (device: string) => (await tcxProgramSets(lab(), NODE))[device]!;
const detach = (path: string) => lab().exec(NODE, ['bpftool', 'link', 'detach', 'pinned', path]);
const destinationDown = async (policy: string) =>
  (await policyStatus(lab(), policy)).totals.dropped.destinationDown?.packets ?? 0;

test('every flow is copied', async () => {
  traffic = await startFlows(lab());
});

test('a program that someone else detaches is attached again as the first one, and no other flow misses a copy', async (t) => {
  const before = await programSetOf(TAP);
  const [link] = pinnedLinks(lab(), NODE, `ingress-${await ifindex(TAP)}-capture_ingress`);
  await interfere(t, traffic, () => detach(link!), {
    hit: ['remoteOut'],
    ...told(/^repaired: capture_ingress of tap-web-1 was detached$/),
  });
  assert.deepEqual(await programSetOf(TAP), before);
});

test('all programs of a node are attached again after someone else has detached them at once', async (t) => {
  const before = await tcxProgramSets(lab(), NODE);
  const all = pinnedLinks(lab(), NODE);
  const script = all.map((path) => `bpftool link detach pinned ${path}`).join('\n');
  const whole = async () => JSON.stringify(await tcxProgramSets(lab(), NODE)) === JSON.stringify(before);
  await interfere(t, traffic, () => lab().exec(NODE, ['sh', '-e'], { input: script }), {
    hit: ALL,
    repaired: whole,
    ...told(/of tap-fw-1 was detached/),
  });
});

test('the receiving end is attached again after someone else has detached it', async (t) => {
  const [link] = pinnedLinks(lab(), 'node-2', 'terminate_erspan');
  await interfere(t, traffic, () => lab().exec('node-2', ['bpftool', 'link', 'detach', 'pinned', link!]), {
    hit: ['remoteOut', 'remoteIn'],
    ...told(/^repaired: terminate_erspan of underlay0 was detached$/, 'node-2'),
  });
});

test('pins that someone else removes come back, of one link and of the whole folder, and no copy is missed', async (t) => {
  const folder = bpffsOf(lab(), NODE);
  const tree = () => JSON.stringify(readdirSync(folder, { recursive: true }).sort());
  const before = tree();
  await interfere(t, traffic, () => rmSync(pinnedLinks(lab(), NODE)[0]!), {
    repaired: () => tree() === before,
    ...told(/^repaired: a pin was removed$/),
  });
  await interfere(t, traffic, () => lab().exec(NODE, ['rm', '-r', join(folder, 'maps')]), {
    repaired: () => tree() === before,
  });
  await interfere(t, traffic, () => lab().exec(NODE, ['rm', '-r', folder]), {
    ...told(/^repaired: \d\d pins were removed$/),
    repaired: () => {
      try {
        return tree() === before;
      } catch {
        return false;
      }
    },
  });
});

test('rows that someone else removes from a map come back', async (t) => {
  const map = join(bpffsOf(lab(), NODE), 'maps', 'captures');
  const dump = async () => JSON.parse((await lab().exec(NODE, ['bpftool', '-j', 'map', 'dump', 'pinned', map])).stdout);
  const before: { key: string[] }[] = await dump();
  const script = before
    .map(({ key }) => `bpftool map delete pinned ${map} key hex ${key.map((byte) => byte.slice(2)).join(' ')}`)
    .join('\n');
  await interfere(t, traffic, () => lab().exec(NODE, ['sh', '-e'], { input: script }), {
    hit: ALL,
    ...told(/rows? of (a map was|maps were) changed/),
  });
  assert.deepEqual((await dump()).length, before.length);
});

test('a helper device that someone else deletes is created again; its drops are counted, and local copies continue', async (t) => {
  const before = { remote: await destinationDown('remote'), edge: await destinationDown('edge') };
  const gaps = await interfere(t, traffic, () => ip(lab(), NODE, 'link', 'del', 'mirror0'), {
    hit: CHANGED,
    ...told(/the helper device was missing/),
  });
  for (const policy of ['remote', 'edge'] as const) {
    const lost = gaps[`${policy}Out`]!.missing + gaps[`${policy}In`]!.missing;
    await statusEventually(lab(), policy, 'dropped copies counted', ({ totals }) => {
      return (totals.dropped.destinationDown?.packets ?? 0) >= before[policy] + lost;
    });
  }
});

test('a helper device that someone else sets down, renames or changes otherwise still works, and is repaired', async (t) => {
  const { ifindex: number } = (await ipLink(lab(), NODE, 'mirror0'))!;
  const whole = async () => {
    const ends = await Promise.all(['mirror0', 'mirror1'].map((name) => ipLink(lab(), NODE, name)));
    return ends.every((end) => end?.flags.includes('UP') && end.ifalias === 'mirrorplane:helper');
  };
  for (const change of [
    ['mirror0', 'down'],
    ['mirror1', 'down'],
    ['mirror0', 'name', 'foo'],
    ['mirror1', 'name', 'bar'],
    ['mirror0', 'alias', ''],
    ['mirror0', 'mtu', '68'],
  ]) {
    t.diagnostic(change.join(' '));
    await interfere(t, traffic, () => ip(lab(), NODE, 'link', 'set', ...change), { hit: CHANGED, repaired: whole });
  }
  assert.equal((await ipLink(lab(), NODE, 'mirror0'))?.ifindex, number, 'it is the same device');
});

/**
 * Keeps a foreign program in front of ours while `work` runs. `seconds`: interval at which it is
 * put in front again.
 */
async function withForeign(program: string, seconds: number | undefined, work: (id: number) => Promise<void>) {
  const script = join(import.meta.dirname, 'support', 'foreign_tcx.py');
  const argv = [PYTHON, script, foreignObject(), program, TAP, 'ingress', ...(seconds ? [String(seconds)] : [])];
  const child = lab().spawn(NODE, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    await work(Number(line.toString()));
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
}

for (const [program, does] of [
  ['go_on', 'lets all pass'],
  ['end_chain', 'ends the chain'],
] as const) {
  test(`a program that someone else attaches in front, which ${does}, stays behind ours`, async (t: TestContext) => {
    const ours = await programsOf(TAP);
    await interfere(
      t,
      traffic,
      () =>
        withForeign(program, undefined, async (id) => {
          await until('ours in front', async () => (await programsOf(TAP)).ingress.at(-1) === id);
          assert.deepEqual((await programsOf(TAP)).ingress.toSorted(), [...ours.ingress, id].toSorted());
          await traffic.moreCopies(['remoteOut']);
        }),
      { hit: ['remoteOut'], ...told(/capture_ingress of tap-web-1 was pushed back by another program/) },
    );
  });
}

test('against a program that goes first again and again ours backs off, and the status says so until it is over', async (t) => {
  await withForeign('go_on', 0.1, async (id) => {
    const occupied = await statusEventually(lab(), 'remote', 'HOOK_OCCUPIED', ({ reasons }) =>
      reasons.some(({ code }) => code === 'HOOK_OCCUPIED'),
    );
    t.diagnostic(JSON.stringify(occupied.reasons));
    assert.equal(occupied.state, 'degraded');
    assert.ok((await programsOf(TAP)).ingress.includes(id));
    await traffic.moreCopies(ALL);
  });
  await statusEventually(lab(), 'remote', 'not HOOK_OCCUPIED any more', ({ reasons }) => {
    return reasons.every(({ code }) => code !== 'HOOK_OCCUPIED' && code !== 'ARRIVAL_UNSEEN');
  });
});

test('qdiscs, filters and firewall rules of others come, change and go; ours and theirs stay as they are', async (t) => {
  const ours = await programSetOf(TAP);
  const bare = await foreignState(lab(), NODE);
  const tc = (...words: string[]) => lab().exec(NODE, ['tc', ...words]);
  const match = ['protocol', 'all', 'u32', 'match', 'u8', '0', '0'];
  await interfere(t, traffic, async () => {
    await tc('qdisc', 'add', 'dev', TAP, 'clsact');
    await tc('filter', 'add', 'dev', TAP, 'ingress', 'pref', '1', ...match, 'flowid', '1:1');
    await tc('filter', 'add', 'dev', TAP, 'egress', 'pref', '1', ...match, 'flowid', '1:1');
    await tc('qdisc', 'replace', 'dev', TAP, 'root', 'pfifo', 'limit', '1000');
    const hook = `type filter hook ingress device "${TAP}" priority 0`;
    const rules = `table netdev theirs {\n chain in {\n ${hook};\n udp dport 9 drop\n }\n}\n`;
    await lab().exec(NODE, ['nft', '-f', '-'], { input: rules });
  });
  const full = await foreignState(lab(), NODE);
  // What is theirs outlives our repairs too.
  for (const link of pinnedLinks(lab(), NODE).filter((path) => path.includes('capture_'))) {
    await detach(link);
  }
  await until('programs attached again', async () => {
    return JSON.stringify(await programSetOf(TAP)) === JSON.stringify(ours);
  });
  assert.equal(await foreignState(lab(), NODE), full);
  await interfere(t, traffic, async () => {
    await tc('filter', 'del', 'dev', TAP, 'ingress', 'pref', '1');
    await tc('qdisc', 'del', 'dev', TAP, 'clsact');
    await tc('qdisc', 'del', 'dev', TAP, 'root');
    await lab().exec(NODE, ['nft', 'delete table netdev theirs']);
  });
  await until('programs as before', async () => {
    return JSON.stringify(await programSetOf(TAP)) === JSON.stringify(ours);
  });
  assert.equal(await foreignState(lab(), NODE), bare);
});

test('after all that every policy is active, and its sums close', async () => {
  for (const name of ['remote', 'local', 'edge']) {
    const { totals } = await activeEventually(lab(), name);
    const dropped = Object.values(totals.dropped).reduce((sum, count) => sum + (count?.packets ?? 0), 0);
    assert.equal(totals.matched.packets, totals.copied.packets + dropped);
  }
});
