/** How long a former interface is remembered. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { KEPT_MS, MAX_FORMER_OF_NODE } from '../src/inventory/former-interfaces.ts';
import { Bench, vmDevice } from './harness.ts';

const options = { timeout: 120_000 };
const DAY_MS = 24 * 60 * 60 * 1000;

async function start(t: test.TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.hello('node-1');
  const listed = async () =>
    (await bench.get('/api/v1/interfaces')).body.items.map(({ id }: { id: string }) => id).join() as string;
  const lists = (ids: string) => until(`${ids} are listed`, async () => (await listed()) === ids);
  return { bench, agent, listed, lists };
}

test('an interface that is gone ends after a week, unless it is declared or a policy names it', options, async (t) => {
  const { bench, agent, listed, lists } = await start(t);
  agent.inventory(vmDevice('app-1/0', 4), vmDevice('db-1/0', 5), vmDevice('ids-1/0', 6), vmDevice('web-1/0', 7));
  await lists('app-1/0,db-1/0,ids-1/0,web-1/0');
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  await bench.declare('db-1/0');
  agent.inventory();
  const devices = async () => (await bench.get('/api/v1/interfaces/app-1%2F0')).body.devices?.length;
  await until('it is gone', async () => (await devices()) === 0);
  assert.deepEqual(Object.keys((await bench.get('/api/v1/interfaces/app-1%2F0')).body).sort(), [
    ...['declared', 'devices', 'id', 'kind', 'name', 'pool', 'revision'],
  ]);
  bench.ahead = KEPT_MS - DAY_MS;
  await bench.restart();
  assert.equal(await listed(), 'app-1/0,db-1/0,ids-1/0,web-1/0');
  bench.ahead = KEPT_MS + DAY_MS;
  await bench.restart();
  await lists('db-1/0,ids-1/0,web-1/0');
  await bench.must('DELETE', '/api/v1/policies/p');
  await lists('db-1/0');
});

test('an interface that comes back in time begins its week again', options, async (t) => {
  const { bench, agent, listed, lists } = await start(t);
  const told = async (kind: string) => (await bench.must('GET', `/api/v1/events?kind=${kind}`)).items.length as number;
  const moves = { interfaceAppeared: 0, interfaceGone: 0 };
  /** Waits until the node has this number of devices, and until a plan has noted it. */
  const seen = async (count: 0 | 1) => {
    const devices = async () => (await bench.get('/api/v1/interfaces/web-1%2F0')).body.devices?.length as number;
    await until(`${count} devices`, async () => (await devices()) === count);
    const kind = count === 1 ? 'interfaceAppeared' : 'interfaceGone';
    const times = ++moves[kind];
    await until(`${kind} is told`, async () => (await told(kind)) === times);
  };
  agent.inventory(vmDevice('web-1/0', 7));
  await seen(1);
  agent.inventory();
  await seen(0);
  bench.ahead = 6 * DAY_MS;
  agent.inventory(vmDevice('web-1/0', 8));
  await seen(1);
  agent.inventory();
  await seen(0);
  bench.ahead = 12 * DAY_MS;
  agent.inventory(vmDevice('app-1/0', 9));
  await lists('app-1/0,web-1/0');
  bench.ahead = 14 * DAY_MS;
  agent.inventory(vmDevice('app-1/0', 10));
  await lists('app-1/0');
  assert.equal(await listed(), 'app-1/0');
});

test('interfaces of a node that is deleted end with it, and those that have moved on stay', options, async (t) => {
  const { bench, agent, lists } = await start(t);
  const two = await bench.connect(await bench.credentials('node-2'));
  two.hello('node-2');
  agent.inventory(vmDevice('app-1/0', 4), vmDevice('web-1/0', 7));
  await lists('app-1/0,web-1/0');
  two.inventory(vmDevice('web-1/0', 7, { guest: 'running' }));
  agent.inventory(vmDevice('app-1/0', 4), vmDevice('web-1/0', 7, { guest: 'absent' }));
  const home = async () => (await bench.get('/api/v1/interfaces/web-1%2F0')).body.home;
  await until('it has moved', async () => (await home()) === 'node-2');
  agent.inventory(vmDevice('app-1/0', 4));
  agent.close();
  await until('it is away', async () => !(await bench.get('/api/v1/nodes/node-1')).body.connected);
  await bench.must('DELETE', '/api/v1/nodes/node-1');
  await lists('web-1/0');
});

test('a limited number of former interfaces is remembered for a node with constant changes', options, async (t) => {
  const { bench, agent, listed } = await start(t);
  for (let round = 0; round < 4; round++) {
    const devices = Array.from({ length: 500 }, (_, at) => vmDevice(`vm-${round}-${at}/0`, round * 500 + at + 1));
    agent.inventory(...devices);
    await until(`round ${round}`, async () => (await listed()).includes(`vm-${round}-499/0`), { limitMs: 30_000 });
  }
  const count = async () => (await listed()).split(',').length;
  await until('the oldest end', async () => (await count()) === MAX_FORMER_OF_NODE + 500, { limitMs: 30_000 });
  assert.ok(!(await listed()).includes('vm-0-0/0'));
  assert.equal((await bench.get('/api/v1/interfaces/vm-2-0%2F0')).status, 200);
});
