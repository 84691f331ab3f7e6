/** A holder of the place stays sure while most members of etcd are well, and only then. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { Candidate } from '../../src/cluster/candidate.ts';
import { Cluster } from '../../src/store/etcd/cluster.ts';
import { depose, Hold, LEADER_KEY, readTerm, SURE_MS, succeed } from '../../src/store/etcd/hold.ts';
import { EtcdLease, silenceOf } from '../../src/store/etcd/lease.ts';
import type { Call } from '../../src/store/etcd/messages.ts';
import { message } from '../../src/store/etcd/wire.ts';
import { type EtcdMembers, startEtcd } from '../store/etcd-members.ts';
import { startProxy } from '../store/etcd-proxy.ts';

const LIMIT = { limitMs: 30_000, pauseMs: 10 };

async function take(t: TestContext, cluster: Cluster, onLost: (error: Error) => void = assert.fail): Promise<Hold> {
  const hold = await Hold.tryTake(cluster, { ttlMs: 10_000, onLost });
  t.after(async () => {
    await hold?.release();
    cluster.close();
  });
  assert.ok(hold);
  return hold;
}

test('a holder stays sure when the member of etcd that it talks to is silent', async (t) => {
  const etcd = await startEtcd(t, 3);
  const proxies = await Promise.all(etcd.endpoints.map((endpoint) => startProxy(t, endpoint)));
  const hold = await take(t, new Cluster({ endpoints: proxies.map(({ url }) => url), giveUpMs: 500 }));
  await until('it is sure', () => hold.isSure, LIMIT);
  // The member that a cluster asks first.
  proxies[0]!.be('deaf');
  const began = performance.now();
  let unsure = 0;
  await until(
    'some seconds have passed',
    () => {
      unsure += Number(!hold.isSure);
      return performance.now() - began > 3000;
    },
    LIMIT,
  );
  assert.equal(unsure, 0);
  // Most members: two of three are too few.
  proxies[1]!.be('deaf');
  proxies[2]!.be('deaf');
  await until('it is not sure any more', () => !hold.isSure, LIMIT);
});

/** Asks etcd, and keeps back what etcd answers to questions for keys. */
class Slow extends Cluster {
  readonly kept: (() => void)[] = [];
  isSlow = true;

  override async askOnce(call: Call, ...rest: [request: Buffer, limitMs: number, step?: number]): Promise<Buffer> {
    return this.#keep(call, await super.askOnce(call, ...rest));
  }

  override async ask(call: Call, request: Buffer): Promise<Buffer> {
    return this.#keep(call, await super.ask(call, request));
  }

  async #keep(call: Call, answer: Buffer): Promise<Buffer> {
    if (this.isSlow && call === 'range') {
      await new Promise<void>((resolve) => this.kept.push(resolve));
    }
    return answer;
  }
}

test('a question from before the key was taken does not end the holder that has it', async (t) => {
  const { endpoints } = await startEtcd(t, 1);
  let claim: (() => void) | undefined;
  const cluster = new (class extends Slow {
    override async ask(call: Call, request: Buffer): Promise<Buffer> {
      // The key is taken only after the first look.
      if (call === 'txn' && claim === undefined) {
        await new Promise<void>((resolve) => {
          claim = resolve;
        });
      }
      return super.ask(call, request);
    }
  })({ endpoints, giveUpMs: 2000 });
  const lost: Error[] = [];
  const taking = take(t, cluster, (error) => lost.push(error));
  const began = performance.now();
  await until(
    'a look, or time for two',
    () => claim && (cluster.kept.length > 0 || performance.now() - began > 1000),
    LIMIT,
  );
  claim!();
  const hold = await taking;
  cluster.isSlow = false;
  for (const answer of cluster.kept) {
    answer();
  }
  assert.equal(await hold.confirm(5000), true);
  assert.deepEqual(lost, []);
});

/** Milliseconds that a new holder waits for the former one, from the moment when it has the key. */
async function waitsFor(hold: Hold): Promise<number> {
  const began = performance.now();
  await hold.formerIsUnsure();
  return performance.now() - began;
}

test('a new holder waits until the former one is unsure, unless that one has left or its process has ended', async (t) => {
  const { endpoints } = await startEtcd(t, 1);
  const clusterOf = () => new Cluster({ endpoints, giveUpMs: 2000 });
  const first = await take(t, clusterOf());
  assert.equal(await first.confirm(5000), true);
  await first.release();
  assert.deepEqual([first.isSure, await first.prove(), await first.confirm(1000)], [false, false, false]);
  const second = await take(t, clusterOf(), () => undefined);
  assert.ok((await waitsFor(second)) < SURE_MS / 2, 'the former one has left');
  // What the first one has said says nothing of the second one.
  const asking = clusterOf();
  t.after(() => asking.close());
  assert.equal(await depose(asking, second.term), true);
  const third = await take(t, clusterOf(), () => undefined);
  assert.ok((await waitsFor(third)) > SURE_MS / 2, 'the former one may be sure');
  assert.equal(await third.confirm(5000), true);
  assert.equal(await succeed(asking, second.term), false, 'it is the place of another one');
  assert.equal(await succeed(asking, third.term), true);
  await until('the third one knows it', () => !third.isSure, LIMIT);
  // One that has lost the place gives back no place of another one.
  const fourth = await take(t, clusterOf());
  assert.ok((await waitsFor(fourth)) < SURE_MS / 2, 'the process of the former one has ended');
  await third.release();
  assert.equal(await fourth.confirm(5000), true);
});

test('what a holder has said when it left is not believed of a holder of an earlier release, which leaves it there', async (t) => {
  const { endpoints, ctl } = await startEtcd(t, 1);
  const clusterOf = () => new Cluster({ endpoints, giveUpMs: 2000 });
  const asking = clusterOf();
  t.after(() => asking.close());
  for (const end of ['deposed', 'gone'] as const) {
    const left = await take(t, clusterOf());
    await left.release();
    await ctl('put', LEADER_KEY, '{"controller":"earlier","since":"","write":""}');
    const term = (await readTerm(asking, 2000))!;
    if (end === 'deposed') {
      assert.equal(await depose(asking, term), true);
    } else {
      await ctl('del', LEADER_KEY);
    }
    const former = end === 'deposed' ? undefined : term;
    const next = (await Hold.tryTake(clusterOf(), { ttlMs: 10_000, onLost: assert.fail, former }))!;
    assert.ok((await waitsFor(next)) > SURE_MS / 2, `the one that was ${end} may be sure`);
    await next.release();
    // Who has seen it lead believes it.
    const last = (await Hold.tryTake(clusterOf(), { ttlMs: 10_000, onLost: assert.fail, former: next.term }))!;
    assert.ok((await waitsFor(last)) < SURE_MS / 2);
    await last.release();
  }
});

test('etcd says for how long a lease was not renewed, also where an election has added to it', async (t) => {
  const { endpoints } = await startEtcd(t, 1);
  const cluster = new Cluster({ endpoints, giveUpMs: 2000 });
  t.after(() => cluster.close());
  const lease = await EtcdLease.grant(cluster, 600_000);
  assert.equal(await silenceOf(cluster, lease.number, 2000), 0);
  await lease.revoke();
  assert.equal(await silenceOf(cluster, lease.number, 2000), Number.POSITIVE_INFINITY);
  // etcdserver/api/v3rpc/lease.go: 3 is what is left, 4 is what was granted.
  const says = (left: number) =>
    silenceOf({ askOnce: async () => message([3, left], [4, 10]) } as unknown as Cluster, 1, 2000);
  assert.deepEqual([await says(10), await says(14), await says(7), await says(0)], [0, 0, 2000, 9000]);
});

/** A candidate that may lead when `may` is true. */
function candidate(t: TestContext, { endpoints }: EtcdMembers) {
  const state = { may: false, looked: 0, term: 0, leader: undefined as number | undefined };
  const one = new Candidate({
    etcd: { endpoints },
    self: { id: 'one', agents: '127.0.0.1:7071' },
    leaseMs: 10_000,
    log: createLog('controller', 'silent'),
    canLead: () => {
      state.looked++;
      return state.may;
    },
    changed: (leader) => (state.leader = leader?.term),
    won: ({ term }) => (state.term = term),
    lost: assert.fail,
  });
  t.after(() => one.close());
  one.open();
  return { one, state };
}

test('a candidate takes a free place when it has what it needs, also if nothing else changes', async (t) => {
  const { state } = candidate(t, await startEtcd(t, 1));
  const began = performance.now();
  await until('time has passed', () => state.term !== 0 || performance.now() - began > 1000, LIMIT);
  assert.equal(state.term, 0, 'it leads without what it needs');
  state.may = true;
  await until('it leads', () => state.term !== 0, LIMIT);
});

test('a candidate that closes while its claim is under way leads nothing, and leaves the place free', async (t) => {
  const etcd = await startEtcd(t, 1);
  const { one, state } = candidate(t, etcd);
  await until('it knows that the place is free', () => state.looked > 0, LIMIT);
  await etcd.members[0]!.pause();
  state.may = true;
  one.look();
  // The claim has asked etcd then.
  await setImmediate();
  const closing = one.close();
  etcd.members[0]!.resume();
  await closing;
  assert.equal(state.term, 0, 'it leads after it was closed');
  // The place would stay taken until the lease ends.
  const next = new Cluster({ endpoints: etcd.endpoints, giveUpMs: 2000 });
  const hold = await take(t, next);
  assert.ok(hold.term > 0);
});

test('a candidate takes no place away without etcd, and none of a leader that lives again meanwhile', async (t) => {
  const etcd = await startEtcd(t, 1);
  const hold = await take(t, new Cluster({ endpoints: etcd.endpoints, giveUpMs: 2000 }));
  const { one, state } = candidate(t, etcd);
  await until('it knows who leads', () => state.leader === hold.term, LIMIT);
  assert.equal(await one.depose(hold.term, () => false), false);
  assert.equal(await one.depose(hold.term - 1, () => true), false);
  assert.equal(await hold.confirm(5000), true);
  await etcd.members[0]!.pause();
  let asked = 0;
  const dead = () => {
    asked++;
    return true;
  };
  const began = performance.now();
  await assert.rejects(one.depose(hold.term, dead));
  assert.ok(performance.now() - began < 2500, 'it goes on trying');
  assert.equal(asked, 0, 'nobody is judged dead without an answer of etcd');
  etcd.members[0]!.resume();
  await until('etcd answers', () => one.reachesEtcd(), LIMIT);
  assert.equal(await hold.confirm(10_000), true);
});
