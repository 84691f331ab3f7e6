/** Tests for etcd only, with one member. Tests for every store are in test/store/contract.ts. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { type EtcdStoreOptions, openEtcdStore } from '../../src/store/etcd.ts';
import { type Operation, type Store, StoreLostError } from '../../src/store/store.ts';
import { storeContract } from './contract.ts';
import { makeEtcdFiles, startEtcd } from './etcd-members.ts';

/** Opens stores, and closes them before etcd ends. */
function useStores(t: TestContext) {
  const stores: Store[] = [];
  t.after(() => Promise.all(stores.map((store) => store.close())));
  return async (options: EtcdStoreOptions) => {
    const store = await openEtcdStore(options);
    stores.push(store);
    return store;
  };
}

const put = (key: string, value: unknown): Operation => ({ type: 'put', key, value });
const write = (store: Store, ...ops: Operation[]) => store.txn({ compare: [], ops });

storeContract('etcd', {
  async open(t, keepRevisions) {
    const open = useStores(t);
    const { endpoints } = await startEtcd(t, 1);
    const options = { endpoints, ...(keepRevisions !== undefined && { keepRevisions }) };
    let store = await open(options);
    const reopen = async () => {
      await store.close();
      store = await open(options);
      return store;
    };
    return { store, reopen };
  },
});

test('etcd: a second controller is refused with the name of the first, until that one has ended', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const options = { endpoints, leaseMs: 1000 };
  const first = await open(options);
  await assert.rejects(
    open(options),
    /cannot open the store in etcd .*another process uses.*process \d+.*stop that one/,
  );
  await first.close();
  const second = await open(options);
  await write(second, put('a', 1));
  // As after a kill: the key stays until its lease expires.
  const lease = (await ctl('lease', 'list')).match(/[0-9a-f]{6,}/)![0];
  await ctl('put', '/mirrorplane/leader', JSON.stringify({ controller: 'gone', since: 'then' }), `--lease=${lease}`);
  const third = open(options);
  await ctl('lease', 'revoke', lease);
  assert.equal((await (await third).get('a'))?.value, 1);
});

test('etcd: a store of a newer release is refused with both numbers, while its controller runs and afterwards', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const first = await open({ endpoints });
  await write(first, put('a', 1));
  assert.equal(await ctl('get', '/mirrorplane/schema', '--print-value-only'), '1\n');
  await ctl('put', '/mirrorplane/schema', '2');
  const refusal =
    /cannot open the store in etcd .*the store has schema 2, and this release reads schema 1: install the/;
  const began = performance.now();
  for (const options of [{ endpoints }, { endpoints, readOnly: true }]) {
    await assert.rejects(open(options), refusal);
  }
  assert.ok(performance.now() - began < 5000, 'it does not wait for the other controller first');
  await write(first, put('a', 2));
  await first.close();
  await assert.rejects(open({ endpoints }), refusal);
  assert.equal(
    await ctl('get', '/mirrorplane/leader', '--print-value-only'),
    '',
    'it does not hold what it cannot use',
  );
  await ctl('put', '/mirrorplane/schema', '1');
  assert.equal((await (await open({ endpoints })).get('a'))?.value, 2);
});

test('etcd: a store without a number, as an earlier release has it, gets one', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const first = await open({ endpoints });
  await write(first, put('a', 1));
  await first.close();
  await ctl('del', '/mirrorplane/schema');
  assert.equal((await (await open({ endpoints, readOnly: true })).get('a'))?.value, 1);
  assert.equal(await ctl('get', '/mirrorplane/schema', '--print-value-only'), '', 'who only reads writes nothing');
  assert.equal((await (await open({ endpoints })).get('a'))?.value, 1);
  assert.equal(await ctl('get', '/mirrorplane/schema', '--print-value-only'), '1\n');
});

test('etcd: a controller that was asleep while another took over writes nothing, and is told once', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const lost: Error[] = [];
  const sleeper = await open({ endpoints, onLost: (error) => lost.push(error) });
  await write(sleeper, put('a', 'before'));
  await ctl('del', '/mirrorplane/leader');
  const other = await open({ endpoints });
  await write(other, put('b', 1));
  for (const ops of [[put('a', 'after')], [{ type: 'delete', key: 'a' } as const]]) {
    await assert.rejects(write(sleeper, ...ops), StoreLostError);
  }
  assert.deepEqual(
    lost.map(({ name }) => name),
    ['StoreLostError'],
  );
  assert.equal(await ctl('get', '/mirrorplane/store/a', '--print-value-only'), '"before"\n');
});

test('etcd: 4,000 keys change in one revision, and 5,000 or a value that is too large are refused as a whole', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const store = await open({ endpoints });
  const many = (count: number) => Array.from({ length: count }, (_, index) => put(`many/${index}`, index));
  const { revision } = await write(store, ...many(4000));
  const { entries } = await store.range('many/');
  assert.equal(entries.length, 4000);
  assert.deepEqual([...new Set(entries.map(({ modRevision }) => modRevision))], [revision]);
  assert.equal((await write(store, ...many(4000).map(({ key }) => ({ type: 'delete', key }) as const))).ok, true);
  assert.equal((await store.range('many/')).entries.length, 0);
  await assert.rejects(write(store, ...many(5000)), /etcd takes 4096/);
  await assert.rejects(write(store, put('small', 1), put('large', 'x'.repeat(1_600_000))), /--max-request-bytes/);
  await write(store, put('large', 'x'.repeat(1_500_000)));
  assert.match(
    await ctl('get', '--prefix', '/mirrorplane/store/', '--keys-only'),
    /^\s*\/mirrorplane\/store\/large\s*$/,
  );
});

test('etcd: what others write is not seen, and no revision is waited for that a watch does not reach', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const store = await open({ endpoints });
  let reached = 0;
  const watcher = { onBatch: (_: unknown, revision: number) => (reached = revision), onEnd: assert.fail };
  await store.watch('', 1, watcher);
  const { revision } = await write(store, put('a', 1));
  await ctl('put', '/mirrorplane/others', '1');
  await ctl('put', '/else', '1');
  assert.deepEqual(await store.txn({ compare: [{ key: 'a', modRevision: 1 }], ops: [put('a', 2)] }), {
    ok: false,
    revision,
  });
  assert.deepEqual(await write(store, { type: 'delete', key: 'b' }), { ok: true, revision });
  await until('the watch is there', () => reached === revision);
  assert.deepEqual(
    (await store.range('')).entries.map(({ key }) => key),
    ['a'],
  );
});

test('etcd: TLS with a client certificate works, and is refused without one and with another authority', async (t) => {
  const open = useStores(t);
  const files = makeEtcdFiles(t);
  const others = makeEtcdFiles(t);
  const { endpoints } = await startEtcd(t, 1, files);
  const store = await open({ endpoints, tls: files });
  await write(store, put('a', 1));
  assert.equal((await store.get('a'))?.value, 1);
  const plain = await startEtcd(t, 1);
  const inTheOther = (urls: readonly string[]) =>
    urls.map((url) => (url.startsWith('https') ? url.replace('https', 'http') : url.replace('http', 'https')));
  for (const [options, message] of [
    [{ tls: { ca: files.ca } }, /it asks for a certificate: give --etcd-cert and --etcd-key$/],
    [{ tls: { ...others, ca: files.ca } }, /it does not trust the certificate in .*: give --etcd-cert and --etcd-key/],
    [{ tls: { ...files, ca: others.ca } }, /none of the certificates in .* has signed its .* with --etcd-ca$/],
    [{ tls: {} }, /none of the authorities of this host has signed its .* with --etcd-ca$/],
    [{ endpoints: inTheOther(endpoints) }, /if it speaks TLS, write https:\/\/ in --etcd$/],
    [{ endpoints: inTheOther(plain.endpoints), tls: files }, /does not speak TLS: .*write http:\/\/ in --etcd$/],
  ] as const) {
    await assert.rejects(open({ endpoints, giveUpMs: 2000, ...options }), { message });
  }
  assert.equal((await write(store, put('a', 2))).ok, true);
});

test('etcd: a user signs in again when etcd has forgotten the token, and a wrong password is refused', async (t) => {
  const open = useStores(t);
  const { endpoints, ctl, members } = await startEtcd(t, 1);
  await ctl('user', 'add', 'root:secret of root');
  await ctl('user', 'grant-role', 'root', 'root');
  await ctl('user', 'add', 'mirrorplane:its secret');
  await ctl('role', 'add', 'mirrorplane');
  await ctl('role', 'grant-permission', 'mirrorplane', '--prefix=true', 'readwrite', '/mirrorplane/');
  await ctl('user', 'grant-role', 'mirrorplane', 'mirrorplane');
  await ctl('auth', 'enable');
  const user = { name: 'mirrorplane', password: 'its secret' };
  await assert.rejects(open({ endpoints, user: { ...user, password: 'another' } }), /authentication failed/);
  await assert.rejects(open({ endpoints }), /user name is empty/);
  const store = await open({ endpoints, user });
  const seen: number[] = [];
  await store.watch('', 1, { onBatch: (_, revision) => seen.push(revision), onEnd: assert.fail });
  const first = await write(store, put('a', 1));
  await members[0]!.kill();
  members[0]!.start();
  const second = await write(store, put('a', 2));
  await until('the watch sees both', () => seen.length === 2);
  assert.deepEqual(seen, [first.revision, second.revision]);
});
