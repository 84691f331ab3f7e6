/** A store in an etcd cluster of three members, while these are killed, stopped and cut off. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { type Store, type StoreEvent, StoreUnavailableError } from '../../src/store/store.ts';
import { View } from '../../src/store/view.ts';
import { type EtcdMember, type EtcdMembers, startEtcd } from './etcd-members.ts';
import { startProxy } from './etcd-proxy.ts';

/** A store over three members. It closes before these end. */
async function useCluster(t: TestContext): Promise<{ store: Store; etcd: EtcdMembers }> {
  let store: Store | undefined;
  t.after(() => store?.close());
  const etcd = await startEtcd(t, 3);
  store = await openEtcdStore({ endpoints: etcd.endpoints });
  return { store, etcd };
}

/** The member that leads etcd, as etcdctl says. */
async function leaderOf({ members, ctl }: EtcdMembers): Promise<EtcdMember> {
  const states = JSON.parse(await ctl('endpoint', 'status', '--write-out=json')) as {
    Endpoint: string;
    Status: { leader: number; header: { member_id: number } };
  }[];
  const leader = states.find(({ Status }) => Status.leader === Status.header.member_id);
  return members.find(({ url }) => url === leader?.Endpoint)!;
}

/**
 * Counts up in one key, each step only from the step before, until it is stopped. So a step that is
 * carried out twice, or lost, shows at the next one.
 */
function countUp(store: Store) {
  const acknowledged: { revision: number; value: number }[] = [];
  let goesOn = true;
  let failures = 0;
  const run = async () => {
    for (let value = 1, before = 0; goesOn; value++) {
      const op = { type: 'put', key: 'count', value } as const;
      const result = await store.txn({ compare: [{ key: 'count', modRevision: before }], ops: [op] }).catch((error) => {
        assert.ok(error instanceof StoreUnavailableError, String(error));
        failures++;
        return undefined;
      });
      if (result === undefined) {
        // Not known whether it was written: the store says so when it answers again.
        const entry = await until('the store to answer', () => store.get('count').catch(() => undefined), {
          limitMs: 30_000,
        });
        value = entry.value as number;
        before = entry.modRevision;
      } else {
        assert.equal(result.ok, true, `step ${value} found another one`);
        before = result.revision;
      }
      acknowledged.push({ revision: before, value });
    }
  };
  const running = run();
  return {
    acknowledged,
    failures: () => failures,
    async stop() {
      goesOn = false;
      await running;
    },
    /** Waits until it has counted some more. */
    async further(steps: number) {
      const from = acknowledged.length;
      await until('more steps', () => acknowledged.length >= from + steps, { limitMs: 30_000 });
    },
  };
}

async function collect(store: Store) {
  const seen: { revision: number; value: unknown }[] = [];
  const onBatch = (events: StoreEvent[], revision: number) => {
    for (const event of events) {
      seen.push({ revision, value: event.type === 'put' ? event.entry.value : undefined });
    }
  };
  await store.watch('count', 1, { onBatch, onEnd: assert.fail });
  return seen;
}

test('etcd: each member is killed, the leader first, and no write is lost, repeated, or missed by a watch', async (t) => {
  const { store, etcd } = await useCluster(t);
  const seen = await collect(store);
  const counting = countUp(store);
  await counting.further(20);
  const first = await leaderOf(etcd);
  for (const member of [first, ...etcd.members.filter((one) => one !== first)]) {
    await member.kill();
    await counting.further(20);
    assert.deepEqual(await store.state(), {
      engine: 'etcd',
      members: etcd.endpoints.map((url) => ({ url, answers: url !== member.url })),
    });
    member.start();
    await until('the member is back', () => etcd.ctl('endpoint', 'health').catch(() => undefined), { limitMs: 30_000 });
  }
  await counting.stop();
  await until('the watch saw the last one', () => seen.at(-1)?.value === counting.acknowledged.at(-1)!.value);
  assert.deepEqual(
    seen.map(({ value }) => value),
    seen.map((_, index) => index + 1),
  );
  const told = new Map(seen.map(({ value, revision }) => [value, revision]));
  assert.ok(counting.acknowledged.every(({ value, revision }) => told.get(value) === revision));
  assert.equal(counting.failures(), 0);
});

test('etcd: all members are killed and come back, and the store goes on with what was acknowledged', async (t) => {
  const { store, etcd } = await useCluster(t);
  const seen = await collect(store);
  const counting = countUp(store);
  await counting.further(10);
  await Promise.all(etcd.members.map((member) => member.kill()));
  const before = counting.acknowledged.at(-1)!.value;
  for (const member of etcd.members) {
    member.start();
  }
  await counting.further(10);
  await counting.stop();
  await until('the watch saw the last one', () => seen.at(-1)?.value === counting.acknowledged.at(-1)!.value);
  assert.ok(seen.some(({ value }) => value === before));
  assert.deepEqual(
    seen.map(({ value }) => value),
    seen.map((_, index) => index + 1),
  );
});

test('etcd: a member that is stopped, not ended, is left, with the watch too', async (t) => {
  const { store, etcd } = await useCluster(t);
  const seen = await collect(store);
  const counting = countUp(store);
  await counting.further(10);
  // The store uses the first one since it was opened.
  await etcd.members[0]!.pause();
  t.after(() => etcd.members[0]!.resume());
  await counting.further(20);
  await counting.stop();
  const last = counting.acknowledged.at(-1)!.value;
  await until('the watch saw the last one', () => seen.at(-1)?.value === last, { limitMs: 20_000 });
  assert.equal(seen.length, last);
});

for (const [what, ...missed] of [
  ['a change and a deletion', ['put', 'new', '{"name":"new"}'], ['del', 'removed']],
  // The first revision that the view does not know is the compacted one: etcd 3.4 accepts a watch from there.
  ['a deletion alone', ['del', 'removed']],
] as const) {
  test(`etcd: a view that was cut off while etcd compacted ${what} reads everything again`, async (t) => {
    let store: Store | undefined;
    let view: View | undefined;
    t.after(() => view?.close());
    t.after(() => store?.close());
    const { endpoints, ctl } = await startEtcd(t, 1);
    const proxy = await startProxy(t, endpoints[0]!);
    store = await openEtcdStore({ endpoints: [proxy.url] });
    const ops = ['kept', 'removed'].map((name) => ({ type: 'put', key: `domains/${name}`, value: { name } }) as const);
    await store.txn({ compare: [], ops });
    view = new View(store, (error) => assert.fail(error));
    await view.open();
    const names = () => [...view!.all('domains').keys()].join();
    assert.equal(names(), 'kept,removed');
    proxy.be('cut');
    let revision = 0;
    for (const [command, name, ...value] of missed) {
      const said = await ctl(command, `/mirrorplane/store/domains/${name}`, ...value, '--write-out=json');
      revision = JSON.parse(said).header.revision;
    }
    await ctl('compact', String(revision));
    proxy.be('open');
    await until('the view is as etcd is', () => names() === (missed.length > 1 ? 'kept,new' : 'kept'));
    await store.txn({ compare: [], ops: [{ type: 'put', key: 'domains/last', value: { name: 'last' } }] });
    await until('the view goes on', () => view!.get('domains', 'last'));
  });
}
