/** Who reads packets, and who looks, is judged again while it goes on. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { encodeLookBatch, type Look, NO_LOOK_TOTALS, type Role } from '@mirrorplane/contract';
import { Bench, vmDevice } from '../harness.ts';
import { LookSocket } from '../looks/look-socket.ts';
import { seen } from '../looks/seen.ts';
import { peopleOf, personOf } from './people.ts';

const API = '/api/v1';
const LOOKS = `${API}/looks`;
const at = (id: string) => `${API}/interfaces/${encodeURIComponent(id)}`;
const blueOnly = (role: Role) => [{ role, scope: { labels: { tenant: 'blue' } } }];

/** Two VMs of blue on node-1, of which one sends packets. */
async function blues(t: TestContext) {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  agent.inventory(vmDevice('web-1/0', 7), vmDevice('ids-1/0', 8));
  const label = (id: string, tenant: string) => bench.must('PUT', at(id), { kind: 'vm', labels: { tenant } });
  await label('web-1/0', 'blue');
  await label('ids-1/0', 'blue');
  const people = await peopleOf(bench, { blue: blueOnly('observer'), all: [{ role: 'observer' }] });
  return { bench, label, ...people };
}

const stateOf = async (bench: Bench, id: string): Promise<Look> => (await bench.get(`${LOOKS}/${id}`)).body;

test('a stream of packets ends with the reason when an interface of the look leaves the scope', async (t) => {
  const { bench, label, blue, all } = await blues(t);
  const { id }: Look = (await all('POST', LOOKS, { interfaces: ['web-1/0'] })).body;
  const rows = await blue.stream(`${LOOKS}/${id}/rows`);
  const file = await blue.stream(`${LOOKS}/${id}/packets.pcapng?follow=true`);
  const others = await all.stream(`${LOOKS}/${id}/rows`);
  t.after(() => [rows, file, others].map((stream) => stream.close()));
  const socket = await LookSocket.open(t, bench, 'node-1');
  const send = (packet: string) =>
    socket.send(
      encodeLookBatch({ look: id, run: 1, packets: [seen({ packet })], drops: [], counts: NO_LOOK_TOTALS, unseen: [] }),
    );
  const shown = ({ messages }: typeof rows) =>
    messages.filter(({ name }) => name === 'rows').flatMap(({ data }) => JSON.parse(data).rows).length;
  send('00000000000000aa');
  await until('the packet', async () => (await stateOf(bench, id)).totals.received === 1);
  await until('the first packet', () => shown(rows) === 1 && shown(others) === 1, { limitMs: 60_000 });
  await label('web-1/0', 'red');
  send('00000000000000bb');
  await until('both to end', () => rows.ended && file.ended);
  await until('the second packet', () => shown(others) === 2, { limitMs: 60_000 });
  assert.equal(shown(rows), 1, 'no packet of red');
  const last = rows.messages.at(-1)!;
  assert.deepEqual([last.name, JSON.parse(last.data).endedBy], ['end', 'access']);
  assert.equal((await blue('GET', `${LOOKS}/${id}`)).status, 403);
  assert.equal((await stateOf(bench, id)).state, 'running', 'its owner may see all');
});

test('a look of a policy is read only by who may begin it: the policy may get any sources', async (t) => {
  const { bench, blue, all } = await blues(t);
  await bench.must('POST', `${API}/policies`, { name: 'p1', sources: ['web-1/0'], destination: 'ids-1/0' });
  const { id }: Look = (await all('POST', LOOKS, { policy: 'p1' })).body;
  for (const url of [`${LOOKS}/${id}`, `${LOOKS}/${id}/rows`, `${LOOKS}/${id}/packets.pcapng`]) {
    assert.equal((await blue('GET', url)).status, 403, url);
  }
  assert.deepEqual((await blue('GET', LOOKS)).body.items, []);
  assert.equal((await all('GET', `${LOOKS}/${id}`)).status, 200);
});

test('a look ends when its interface leaves the scope of its owner, and with the token that began it', async (t) => {
  const { bench, label, blue } = await blues(t);
  const ofBlue: Look = (await blue('POST', LOOKS, { interfaces: ['web-1/0'] })).body;
  const { token } = await bench.must('POST', `${API}/tokens`, {
    name: 'short',
    grants: [{ role: 'observer' }],
    expiresAt: 'never',
  });
  const short = personOf(bench, token);
  const ofToken: Look = (await short('POST', LOOKS, { interfaces: ['web-1/0'] })).body;
  await bench.must('DELETE', `${API}/tokens/short`);
  assert.equal((await stateOf(bench, ofToken.id)).endedBy, 'access');
  assert.equal((await stateOf(bench, ofBlue.id)).state, 'running');
  await label('web-1/0', 'red');
  await until('the look of blue to end', async () => (await stateOf(bench, ofBlue.id)).endedBy === 'access');
});
