/** Looks over HTTP: what is refused, who is told, and the file of packets. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { type BatchPacket, type Event, encodeLookBatch, LOOK_KEEPING, type Look } from '@mirrorplane/contract';
import { Bench, refusals, type TestAgent, vmDevice } from '../harness.ts';
import { by, makeUser, signIn } from '../people-client.ts';
import { LookSocket } from './look-socket.ts';
import { delivered, seen } from './seen.ts';

const LOOKS = '/api/v1/looks';

/** Two nodes with a VM each, and a policy. */
async function cluster(t: TestContext): Promise<{ bench: Bench; one: TestAgent; two: TestAgent }> {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 7));
  two.inventory(vmDevice('db-1/0', 8), vmDevice('ids-1/0', 9));
  await until('the interfaces', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 3);
  await bench.must('PUT', '/api/v1/policies/p1', { sources: ['web-1/0'], destination: 'ids-1/0' });
  return { bench, one, two };
}

/** A look of somebody else. */
async function lookOfAnn(bench: Bench, id: string): Promise<void> {
  if ((await bench.get('/api/v1/users/ann')).status === 404) {
    await makeUser(bench, 'ann', 'observer');
  }
  const ann = await signIn(bench, { user: 'ann', password: 'a password of ann alone' });
  const reply = await by(bench, ann, 'POST', LOOKS, { interfaces: [id] });
  assert.equal(reply.status, 201, reply.text);
}

const eventsOf = async (bench: Bench): Promise<Event[]> =>
  (await bench.get('/api/v1/events?kind=lookBegan,lookEnded')).body.items;
const auditOf = async (bench: Bench) =>
  (await bench.get('/api/v1/audit')).body.items.filter(({ resource }: { resource: string }) =>
    resource.startsWith('looks/'),
  );

for (const [what, body, status, expected] of [
  ['neither interfaces nor a policy', {}, 422, ['LOOK_INVALID interfaces']],
  ['both', { interfaces: ['web-1/0'], policy: 'p1' }, 422, ['LOOK_INVALID interfaces']],
  [
    'an interface that there is not',
    { interfaces: ['web-1/0', 'no-1/0'] },
    422,
    ['LOOK_INTERFACE_NOT_FOUND interfaces[1]'],
  ],
  ['an interface twice', { interfaces: ['web-1/0', 'web-1/0'] }, 422, ['LOOK_INVALID interfaces[1]']],
  ['a policy that there is not', { policy: 'p2' }, 422, ['LOOK_POLICY_NOT_FOUND policy']],
  [
    'wrong words, and an interface that there is not',
    { interfaces: ['no-1/0'], words: 'tcp prot 80' },
    422,
    ['LOOK_INTERFACE_NOT_FOUND interfaces[0]', 'LOOK_WORDS_INVALID words'],
  ],
  ['five interfaces', { interfaces: ['a', 'b', 'c', 'd', 'e'] }, 400, ['FIELD_INVALID interfaces']],
  ['a rate of 2001', { interfaces: ['web-1/0'], packetRate: 2001 }, 400, ['FIELD_INVALID packetRate']],
  ['a field that there is not', { interfaces: ['web-1/0'], length: 9000 }, 400, ['FIELD_UNKNOWN length']],
] as const) {
  test(`refuses a look with ${what}`, async (t) => {
    const { bench } = await cluster(t);
    const reply = await bench.post(LOOKS, body);
    assert.deepEqual([reply.status, refusals(reply).sort()], [status, [...expected].sort()]);
    assert.deepEqual((await bench.get(LOOKS)).body.items, []);
    assert.deepEqual(await eventsOf(bench), []);
  });
}

test('says at which character words are wrong', async (t) => {
  const { bench } = await cluster(t);
  const { body } = await bench.post(LOOKS, { interfaces: ['web-1/0'], words: 'tcp prot 80' });
  assert.match(body.errors[0].message, /"prot" at character 5/);
});

test('refuses a look at a disabled policy, and the read token everything', async (t) => {
  const { bench } = await cluster(t);
  await bench.must('PATCH', '/api/v1/policies/p1', { enabled: false });
  assert.deepEqual(refusals(await bench.post(LOOKS, { policy: 'p1' })), ['LOOK_INVALID policy']);
  const { id } = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  const readToken = readFileSync(path.join(bench.data, 'read-token'), 'utf8').trim();
  for (const url of [LOOKS, `${LOOKS}/${id}`, `${LOOKS}/${id}/packets.pcapng`]) {
    assert.equal((await bench.request('GET', url, undefined, { token: readToken })).status, 403);
  }
});

test('audits and tells begin, end and refusal, with what is looked at and the comment', async (t) => {
  const { bench } = await cluster(t);
  const asked = { interfaces: ['web-1/0', 'db-1/0'], words: 'tcp port 5432', comment: 'slow orders' };
  const { id }: Look = await bench.must('POST', LOOKS, asked);
  await bench.post(LOOKS, { policy: 'p2', comment: 'curious' });
  await bench.must('DELETE', `${LOOKS}/${id}`);
  await until('the end to be told', async () => (await eventsOf(bench)).length === 2);
  const events = await eventsOf(bench);
  assert.deepEqual(
    events.map(({ kind, object, interfaces, cause }) => [kind, object.name, interfaces, cause.name]),
    [
      ['lookBegan', id, ['web-1/0', 'db-1/0'], 'admin'],
      ['lookEnded', id, ['web-1/0', 'db-1/0'], 'admin'],
    ],
  );
  assert.match(events[0]!.message, /packets "tcp port 5432" of web-1\/0, db-1\/0, headers; slow orders/);
  const about = (await bench.get('/api/v1/events?object=interface/db-1/0&kind=lookBegan')).body.items;
  assert.equal(about.length, 1);
  const entries = (await auditOf(bench)).reverse();
  assert.deepEqual(
    entries.map(({ actor, action, outcome, code }: Record<string, string>) => [actor, action, outcome, code]),
    [
      ['admin', 'create', 'done', undefined],
      ['admin', 'create', 'refused', 'LOOK_INVALID'],
      ['admin', 'delete', 'done', undefined],
    ],
  );
  assert.match(entries[1].detail, /policy p2.*curious/);
});

test('lists looks among the viewers of an interface, present and past', async (t) => {
  const { bench } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  const ofPolicy: Look = await bench.must('POST', LOOKS, { policy: 'p1' });
  const viewers = async (interfaceId: string) =>
    (await bench.get(`/api/v1/interfaces/${encodeURIComponent(interfaceId)}/viewers`)).body.looks;
  await until('both', async () => (await viewers('web-1/0')).length === 2);
  assert.deepEqual(
    (await viewers('web-1/0')).map(({ look, isNow, owner, policy }: never) => [look, isNow, owner, policy]),
    [
      [ofPolicy.id, true, 'admin', 'p1'],
      [id, true, 'admin', undefined],
    ],
  );
  await bench.must('DELETE', `${LOOKS}/${id}`);
  await until('the end', async () => (await viewers('web-1/0')).some(({ until: at }: never) => at !== undefined));
  const past = (await viewers('web-1/0')).find(({ look }: never) => look === id);
  assert.deepEqual([past.isNow, past.owner, typeof past.from, typeof past.until], [false, 'admin', 'string', 'string']);
  assert.deepEqual(await viewers('db-1/0'), []);
});

test('refuses a fifth look on a node, and names the others; and renewing one that has ended', async (t) => {
  const { bench } = await cluster(t);
  const ids: string[] = [];
  for (let index = 0; index < LOOK_KEEPING.eachOnNode; index++) {
    ids.push((await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] })).id);
  }
  const own = await bench.post(LOOKS, { interfaces: ['web-1/0'] });
  assert.match(own.body.detail, /node "node-1" has 3 looks already \(at most 4, and 3 of one user/);
  await lookOfAnn(bench, 'web-1/0');
  const refused = await bench.post(LOOKS, { interfaces: ['web-1/0'] });
  assert.deepEqual([refused.status, refused.body.code], [409, 'LOOK_LIMIT']);
  assert.match(refused.body.detail, new RegExp(`node "node-1" has 4 looks already \\(.*: ${ids[0]} of admin`));
  const finding = await bench.post('/api/v1/findings', { from: 'web-1/0', to: 'db-1/0' });
  assert.deepEqual([finding.status, finding.body.code], [409, 'LOOK_LIMIT']);
  const [entry] = await auditOf(bench);
  assert.equal(entry.outcome, 'refused');
  assert.match(entry.detail, /finding from web-1\/0 to db-1\/0/);
  await bench.must('POST', LOOKS, { interfaces: ['db-1/0'] });
  await bench.must('DELETE', `${LOOKS}/${ids[0]}`);
  await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  assert.equal((await bench.post(`${LOOKS}/${ids[0]}/renew`)).body.code, 'LOOK_ENDED');
  assert.equal((await bench.post(`${LOOKS}/${ids[1]}/renew`)).status, 200);
  assert.equal((await bench.post(`${LOOKS}/nothing/renew`)).status, 404);
});

test('refuses a seventeenth look of the cluster', async (t) => {
  const { bench } = await cluster(t);
  const names = Array.from({ length: LOOK_KEEPING.running + 1 }, (_, at) => `vm-${at}/0`);
  await bench.declare(...names);
  for (const name of names.slice(1, LOOK_KEEPING.each + 1)) {
    await bench.must('POST', LOOKS, { interfaces: [name] });
  }
  for (const name of names.slice(LOOK_KEEPING.each + 1)) {
    await lookOfAnn(bench, name);
  }
  assert.equal((await bench.post(LOOKS, { interfaces: [names[0]] })).body.code, 'LOOK_LIMIT');
});

test('tells nodes their looks, and only those, and that a look is gone', async (t) => {
  const { bench, one, two } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'], words: 'tcp' });
  await until('the order', () => one.looks.at(-1)?.length === 1);
  const [order] = one.looks.at(-1)!;
  assert.deepEqual(
    [order?.id, order?.of, order?.words, order?.payload, order?.packetRate],
    [id, { interfaces: ['web-1/0'] }, 'tcp', false, 2000],
  );
  assert.ok(order!.leaseMs > 20_000 && order!.leaseMs <= 30_000);
  // The guest migrates: both nodes have it.
  one.inventory(vmDevice('web-1/0', 7, { guest: 'running' }));
  two.inventory(vmDevice('db-1/0', 8), vmDevice('ids-1/0', 9), vmDevice('web-1/0', 17, { guest: 'absent' }));
  await until('the other node to be asked', () => two.looks.at(-1)?.[0]?.id === id);
  one.inventory();
  await until('the first to be asked no more', () => one.looks.at(-1)?.length === 0);
  await bench.must('DELETE', `${LOOKS}/${id}`);
  await until('the other to be asked no more', () => two.looks.at(-1)?.length === 0);
});

test('tells a node that connects that there are no looks, for it may have old ones', async (t) => {
  const { bench, one } = await cluster(t);
  await until('the list', () => one.looks.length > 0);
  assert.deepEqual(one.looks, [[]]);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  await until('the order', () => one.looks.at(-1)?.length === 1);
  one.close();
  await bench.must('DELETE', `${LOOKS}/${id}`);
  const again = await bench.connect(bench.credentialsOf('node-1'));
  again.hello('node-1');
  await until('the list again', () => again.looks.length > 0);
  assert.deepEqual(again.looks, [[]]);
});

test('a look of a policy goes by its uid, and ends with the policy', async (t) => {
  const { bench, one } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { policy: 'p1' });
  await until('the order', () => one.looks.at(-1)?.length === 1);
  assert.match(JSON.stringify(one.looks.at(-1)![0]!.of), /^\{"policy":"[^"]+"\}$/);
  await bench.must('DELETE', '/api/v1/policies/p1');
  await until('the end', async () => (await bench.get(`${LOOKS}/${id}`)).body.state === 'ended');
  assert.equal((await bench.get(`${LOOKS}/${id}`)).body.endedBy, 'unseen');
});

test('shows what a node refuses, until it does not', async (t) => {
  const { bench, one } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  const nodeOf = async () => (await bench.get(`${LOOKS}/${id}`)).body.nodes[0];
  await until('the node to be asked', async () => (await nodeOf())?.state === 'asked');
  one.send({ type: 'looksRefused', refused: [{ look: id, message: 'this node has 4 looks already' }] });
  await until('the refusal', async () => (await nodeOf()).state === 'refused');
  assert.match((await nodeOf()).message, /4 looks already/);
  one.send({ type: 'looksRefused', refused: [] });
  await until('it to be asked again', async () => (await nodeOf()).state === 'asked');
  one.close();
  await until('it to be away', async () => (await nodeOf()).state === 'away');
});

const batchOf = (look: string, packets: BatchPacket[] = [], more = {}) =>
  encodeLookBatch({
    look,
    run: 1,
    counts: {
      seen: packets.length,
      written: packets.length,
      overRate: 0,
      ringFull: 0,
      lostOnTheWay: 0,
      dropsHeard: 0,
      dropsLost: 0,
    },
    unseen: [],
    packets,
    drops: [],
    ...more,
  });

test('takes batches of a node that was asked, and joins them with those of another', async (t) => {
  const { bench } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0', 'db-1/0'] });
  const one = await LookSocket.open(t, bench, 'node-1');
  const two = await LookSocket.open(t, bench, 'node-2');
  one.send(batchOf(id, [seen()]));
  two.send(batchOf(id, [delivered()]));
  await until('both packets', async () => (await bench.get(`${LOOKS}/${id}`)).body.totals.received === 2);
  await bench.must('DELETE', `${LOOKS}/${id}`);
  one.send(batchOf(id, [seen({ packet: '00000000000000bb' })], { ended: 'asked' }));
  two.send(batchOf(id, [], { ended: 'asked' }));
  const file = await fileOf(bench, `${LOOKS}/${id}/packets.pcapng?follow=true`);
  const text = decoded(file);
  assert.equal(text.length, 3, text.join('\n'));
  assert.match(text[0]!, /web-1\/0.* on node-1 \(sent\)/);
  assert.match(text[0]!, /delivered/);
  assert.match(text[1]!, /db-1\/0.* on node-2 \(delivered\)/);
});

for (const [what, packets, look] of [
  ['of a look that it was not asked for', [], 'ffffffffffff'],
  ['with a packet of an interface that the look is not of', [delivered()], undefined],
] as const) {
  test(`ends the connection of a node that sends a batch ${what}`, async (t) => {
    const { bench } = await cluster(t);
    const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
    const socket = await LookSocket.open(t, bench, 'node-1');
    socket.send(batchOf(look ?? id, [...packets]));
    await until('the end', () => socket.closed !== undefined);
    assert.equal(socket.closed?.code, 4000);
    assert.equal((await bench.get(`${LOOKS}/${id}`)).body.totals.received, 0);
  });
}

test('does not believe a node about an interface that is on another node', async (t) => {
  const { bench } = await cluster(t);
  const { id }: Look = await bench.must('POST', LOOKS, { interfaces: ['web-1/0', 'db-1/0'] });
  const one = await LookSocket.open(t, bench, 'node-1');
  one.send(batchOf(id, [seen(), delivered()]));
  const totals = async () => (await bench.get(`${LOOKS}/${id}`)).body.totals;
  await until('the packet', async () => (await totals()).received === 1);
  assert.equal((await totals()).lostOnTheWay, 1);
});

test('refuses a text, garbage and what is too large, and a node that is not asked to look', async (t) => {
  const { bench } = await cluster(t);
  await assert.rejects(LookSocket.open(t, bench, 'node-1'), /409/);
  await bench.must('POST', LOOKS, { interfaces: ['web-1/0'] });
  await assert.rejects(LookSocket.open(t, bench, 'node-2'), /409/);
  for (const data of ['text', Buffer.from('garbage'), Buffer.alloc(300_000, 1)]) {
    const socket = await LookSocket.open(t, bench, 'node-1');
    socket.send(data);
    await until('the end', () => socket.closed !== undefined);
  }
  const [older, newer] = [await LookSocket.open(t, bench, 'node-1'), await LookSocket.open(t, bench, 'node-1')];
  await until('the older to be replaced', () => older.closed !== undefined);
  assert.equal(older.closed?.code, 1006, 'it ends at once');
  assert.equal(newer.closed, undefined);
});

/** A whole answer that is no JSON. */
async function fileOf(bench: Bench, url: string): Promise<Buffer> {
  const [host, port] = bench.controller.addresses[0]!.split(':');
  const headers = { authorization: `Bearer ${bench.token}` };
  return new Promise((resolve, reject) => {
    httpRequest({ host, port, path: url, headers, agent: false }, async (response) => {
      assert.equal(response.headers['content-type'], 'application/x-pcapng');
      resolve(Buffer.concat(await response.toArray()));
    })
      .on('error', reject)
      .end();
  });
}

/** One line a packet, as tshark reads it. */
function decoded(file: Buffer): string[] {
  const fields = ['frame.interface_name', 'frame.comment'].flatMap((field) => ['-e', field]);
  // tshark takes a pipe, and Node.js gives a socket.
  const piped = ['-c', 'cat | tshark "$@"', 'sh', '-n', '-r', '-', '-T', 'fields', ...fields];
  const { stdout, stderr } = spawnSync('sh', piped, { input: file });
  assert.ok(stdout.length > 0, String(stderr));
  return String(stdout).trimEnd().split('\n');
}

test('an ended look without packets is a pcapng file', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster();
  await bench.declare('a');
  const { id } = await bench.must('POST', '/api/v1/looks', { interfaces: ['a'] });
  await bench.must('DELETE', `/api/v1/looks/${id}`);
  for (const follow of ['true', 'false']) {
    const file = await bench.get(`/api/v1/looks/${id}/packets.pcapng?follow=${follow}`);
    assert.deepEqual([file.status, file.text.startsWith('\n\r\r\n')], [200, true]);
  }
});
