/** A finding over its life: it waits for all places, takes packets of its time, and ends its look. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '@mirrorplane/base';
import { FINDING_LIMITS, FindingCreate, type LookPlace, NO_LOOK_TOTALS } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { FindingRun } from '../src/findings/finding-run.ts';
import { Findings, lookRequest } from '../src/findings/findings.ts';
import { LiveLook } from '../src/looks/live-look.ts';
import { Looks } from '../src/looks/looks.ts';
import { pingFrame } from './findings/frames.ts';
import { DB, ENDS, WEB } from './findings/world.ts';
import { drop, seen } from './looks/seen.ts';

const OWNER = { name: 'admin', kind: 'token', address: '127.0.0.1' } as const;
const REQUEST = FindingCreate.parse({ ...ENDS, seconds: 5 });
const NODES: Record<string, string> = { 'web-1/0': 'node-1', 'db-1/0': 'node-2' };

interface Bench {
  clock: { now: number; steady: number };
  errors: unknown[];
  looks: Looks;
  findings: Findings;
  nodes: Record<string, string | undefined>;
}

function bench(t: TestContext): Bench {
  const clock = { now: 1_000_000, steady: 5000 };
  const errors: unknown[] = [];
  const log = { error: (about: unknown) => errors.push(about) } as unknown as Logger;
  const nodes: Bench['nodes'] = { ...NODES };
  const looks = new Looks({ clock: () => clock.now, nameOf: () => '' });
  const whereIs = (id: string) => ({
    macs: [id === 'web-1/0' ? WEB.mac : DB.mac],
    ...(nodes[id] && { node: nodes[id] }),
  });
  const findings = new Findings({ looks, clock: () => clock.now, steady: () => clock.steady, log, whereIs });
  t.after(() => {
    findings.close();
    looks.close();
  });
  return { clock, errors, looks, findings, nodes };
}

/** Nodes tell that they look. */
function allLook({ looks }: Bench, run: FindingRun, counts = {}): void {
  for (const node of ['node-1', 'node-2']) {
    looks.feed(run.describe().look, node, { counts: { ...NO_LOOK_TOTALS, ...counts } });
  }
}

/** A ping is seen at these places. */
function ping({ looks }: Bench, run: FindingRun, sequence: number, places: readonly LookPlace[]): void {
  const bytes = pingFrame(WEB, DB, sequence);
  for (const place of places) {
    const isSent = place === 'sent';
    const packet = seen({
      bytes,
      length: bytes.length,
      place,
      packet: sequence.toString(16).padStart(16, '0'),
      interface: isSent ? ENDS.from : ENDS.to,
      direction: isSent ? 'outbound' : 'inbound',
    });
    looks.feed(run.describe().look, isSent ? 'node-1' : 'node-2', { packets: [packet] });
  }
}

/** Lets its time go on until it has come to a state. */
async function comesTo({ clock }: Bench, run: FindingRun, state: string): Promise<void> {
  await until(`the finding to be ${state}`, () => {
    clock.now += 300;
    clock.steady += 300;
    return run.describe().state === state;
  });
}

const ALL = ['sent', 'arrived', 'delivered'] as const;

test('counts what is sent between its settling and its end, and ends its look', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  assert.equal(run.describe().state, 'starting');
  ping(all, run, 1, ['sent']);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  for (let i = 10; i < 20; i++) {
    ping(all, run, i, i === 15 ? ['sent'] : ALL);
  }
  await comesTo(all, run, 'done');
  const { answer, seen: count } = run.describe();
  assert.deepEqual([answer!.cause, answer!.there.sent, answer!.there.lostBefore], ['lostBetweenNodes', 10, 1]);
  assert.equal(count, 29);
  assert.equal(all.looks.running().length, 0);
});

test('is undetermined at once where a node does not look', async (t) => {
  const all = bench(t);
  const run = all.findings.create(FindingCreate.parse({ ...ENDS, seconds: 120 }), OWNER);
  all.looks.feed(run.describe().look, 'node-1', { counts: NO_LOOK_TOTALS });
  const began = all.clock.now;
  await comesTo(all, run, 'done');
  assert.deepEqual(run.describe().answer!.undetermined, 'notSeen');
  assert.match(run.describe().answer!.message, /"node-2": it did not look all of the time/);
  assert.ok(all.clock.now - began < 60_000);
});

test('is undetermined where an interface has no device, a place is not seen, or the look has lost packets', async (t) => {
  const none = bench(t);
  none.nodes['db-1/0'] = undefined;
  const absent = none.findings.create(REQUEST, OWNER);
  allLook(none, absent);
  await comesTo(none, absent, 'done');
  assert.match(absent.describe().answer!.message, /"db-1\/0": it has no device now/);

  const gap = bench(t);
  const blind = gap.findings.create(REQUEST, OWNER);
  allLook(gap, blind);
  gap.looks.feed(blind.describe().look, 'node-2', { unseen: [{ device: 'tap2', message: 'is a bridge' }] });
  await comesTo(gap, blind, 'done');
  assert.match(blind.describe().answer!.message, /"tap2" on "node-2": is a bridge/);

  const busy = bench(t);
  const lossy = busy.findings.create(REQUEST, OWNER);
  allLook(busy, lossy, { seen: 100, written: 90, overRate: 10 });
  await comesTo(busy, lossy, 'done');
  assert.match(lossy.describe().answer!.message, /the look has not seen 10 of 100 packets on node "node-1"/);
});

test('says so where an interface has moved meanwhile, and packets were lost', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  for (let i = 0; i < 5; i++) {
    ping(all, run, i, i === 2 ? ['sent'] : ALL);
  }
  all.nodes['db-1/0'] = 'node-3';
  await comesTo(all, run, 'done');
  assert.match(run.describe().answer!.message, /1 of 5 packets .* were lost while "db-1\/0" moved to another node/);
});

test('refuses a fifth finding at a time, and keeps the newest sixteen', async (t) => {
  const all = bench(t);
  const first = all.findings.create(REQUEST, OWNER);
  for (let i = 1; i < FINDING_LIMITS.each; i++) {
    all.findings.create(REQUEST, OWNER);
  }
  assert.throws(() => all.findings.create(REQUEST, OWNER), /3 findings of yours are under way: wait/);
  const ann = { ...OWNER, name: 'ann' };
  all.findings.create(REQUEST, ann);
  assert.throws(() => all.findings.create(REQUEST, ann), /4 findings are under way \(of admin, ann\): wait/);
  all.findings.close();
  for (let i = FINDING_LIMITS.running; i <= FINDING_LIMITS.kept; i++) {
    all.looks.end(all.findings.list()[0]!.describe().look, 'asked');
    all.findings.create(REQUEST, OWNER);
    all.findings.close();
  }
  assert.equal(all.findings.list().length, FINDING_LIMITS.kept);
  assert.equal(all.findings.get(first.id), undefined);
  assert.equal(all.looks.get(first.describe().look)!.running, false);
});

test('is undetermined where its look was ended by another', async (t) => {
  const all = bench(t);
  const run = all.findings.create(FindingCreate.parse({ ...ENDS, seconds: 60 }), OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  all.looks.end(run.describe().look, 'asked');
  await comesTo(all, run, 'done');
  assert.match(run.describe().answer!.message, /all places: the look was ended early/);
});

test('is done and undetermined where it fails, and the controller goes on', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  Object.defineProperty(all.nodes, 'db-1/0', {
    get() {
      throw new RangeError('made up');
    },
  });
  await comesTo(all, run, 'done');
  assert.equal(run.describe().answer!.undetermined, 'notSeen');
  assert.match(run.describe().answer!.message, /the controller could not compare the packets, see its log/);
  assert.equal(all.errors.length, 1);
  assert.equal(all.looks.running().length, 0);
});

/** A rule drops the pings with these sequence numbers. */
function tellDrops({ looks }: Bench, run: FindingRun, from: number, count: number): void {
  const drops = Array.from({ length: count }, (_, i) => {
    const bytes = pingFrame(WEB, DB, from + i);
    return drop({ packet: (from + i).toString(16).padStart(16, '0'), bytes, length: bytes.length });
  });
  looks.feed(run.describe().look, 'node-2', { drops });
}

test('keeps the first drops of more than a look keeps', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  for (let i = 0; i < 20; i++) {
    ping(all, run, i, ['sent', 'arrived']);
  }
  tellDrops(all, run, 0, 20);
  const look = all.looks.get(run.look)!;
  for (let i = 0; i < 3; i++) {
    const told = once(look, 'changed');
    tellDrops(all, run, 20_000, 8000);
    await told;
  }
  await comesTo(all, run, 'done');
  assert.deepEqual([run.describe().answer!.cause, run.describe().answer!.there.lostBehind], ['filtered', 20]);
});

test('says that there was too much where drops came faster than it took them', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  ping(all, run, 1, ['sent', 'arrived']);
  tellDrops(all, run, 1, 30_000);
  await comesTo(all, run, 'done');
  assert.equal(run.describe().answer!.undetermined, 'tooMany');
});

test('takes as long as it was asked for although the clock of the controller is set back', async (t) => {
  const all = bench(t);
  const run = all.findings.create(REQUEST, OWNER);
  allLook(all, run);
  await comesTo(all, run, 'looking');
  ping(all, run, 1, ALL);
  all.clock.now -= 3_600_000;
  const began = all.clock.steady;
  await comesTo(all, run, 'done');
  const took = all.clock.steady - began;
  assert.ok(took >= 5000 && took < 20_000, `${took} ms`);
  assert.equal(run.describe().answer!.cause, 'nothingLost');
});

test('keeps nothing of its look when it is done', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let look: LiveLook | undefined = new LiveLook({
    id: '0',
    request: lookRequest(REQUEST),
    subjects: [ENDS.from, ENDS.to],
    owner: 'admin',
    ownerKind: 'token',
    address: '',
    clock: Date.now,
    nameOf: () => '',
  });
  let now = 0;
  const run = new FindingRun({
    id: '1',
    request: REQUEST,
    owner: 'admin',
    look,
    clock: Date.now,
    steady: () => now,
    log: {} as Logger,
    whereIs: () => ({ node: 'node-1', macs: [] }),
    renew: () => {},
    end: () => {
      look!.end('asked');
      look!.finish();
    },
  });
  look.feed('node-1', { packets: [seen()] });
  const ring = new WeakRef(look.ring);
  await until('the finding to be done', () => {
    now += 300;
    return run.isDone;
  });
  look = undefined;
  await until('the packets to be gone', () => {
    collect();
    return ring.deref() === undefined;
  });
  assert.equal(run.describe().seen, 1);
});
