/** Forecasts and rates of interfaces through the API, from what an agent tells. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const REPORT = { epoch: 'e', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
/** 5 Mbit/s. */
const SPEED = 625_000;
const POLICY = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };

/** Reports the devices of an agent: each has carried a megabyte a second into its interface. */
function tell(agent: TestAgent, ifindexes: readonly number[]): void {
  const seconds = Math.round(performance.now()) / 1000;
  const count = { packets: Math.round(1000 * seconds), bytes: Math.round(1_000_000 * seconds) };
  const nothing = { packets: 0, bytes: 0 };
  const devices = ifindexes.map((ifindex) => ({ ifindex, inbound: count, outbound: nothing }));
  const uplinks = [{ device: 'eth1', ifindex: 2, bytesPerSecond: SPEED, throttled: true }];
  const reading = { run: 'r', readAt: 1000 * seconds };
  agent.send({ type: 'counters', reading, report: REPORT, traffic: { devices, uplinks } });
}

test('foretells from what agents tell of devices and uplinks, and says what is not known', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  const eth1 = { ...vmDevice('x', 2), name: 'eth1', linkType: '' };
  const { identity: _, ...underlay } = eth1;
  one.inventory(underlay, vmDevice('web-1/0', 5), vmDevice('web-2/0', 6));
  two.inventory(vmDevice('ids-1/0', 5));
  await until('the interfaces', async () => (await bench.get('/api/v1/interfaces')).body.total === 3);
  const before = (await bench.post('/api/v1/forecasts', POLICY)).body;
  assert.deepEqual(
    [before.seconds, before.unknown, before.givesWay],
    [null, [{ interface: 'web-1/0', why: 'noReport' }], null],
  );
  assert.equal((await bench.get('/api/v1/interfaces/web-1%2F0/traffic')).body.traffic, null);
  tell(one, [2, 5, 6]);
  const foretold = await until(
    'a rate',
    async () => {
      tell(one, [5]);
      const { body } = await bench.post('/api/v1/forecasts', POLICY);
      return body.seconds >= 1 && body.nodes[0].uplink !== undefined ? body : undefined;
    },
    { pauseMs: 100, limitMs: 30_000 },
  );
  const [node] = foretold.nodes;
  assert.deepEqual([foretold.unknownCount, node.node, node.way, node.why], [0, 'node-1', 'erspan', 'uplink']);
  assert.deepEqual([node.uplink.device, node.uplink.bitsPerSecond], ['eth1', 8 * SPEED]);
  assert.ok(Math.abs(foretold.originals.bitsPerSecond / 8e6 - 1) < 0.2, `${foretold.originals.bitsPerSecond}`);
  const { body: list } = await bench.get('/api/v1/interfaces?view=summary&sort=-traffic');
  assert.deepEqual(
    list.items.map((item: { id: string; traffic: object | null }) => [item.id, item.traffic !== null]),
    [
      ['web-1/0', true],
      ['web-2/0', true],
      ['ids-1/0', false],
    ],
  );
  const { traffic } = (await bench.get('/api/v1/interfaces/web-1%2F0/traffic')).body;
  assert.equal(traffic.inbound.bitsPerSecond, list.items[0].traffic.inbound.bitsPerSecond);
  assert.equal((await bench.get('/api/v1/interfaces/none/traffic')).status, 404);
  one.close();
  await until('the rate to be unknown once the agent is away', async () => {
    return (await bench.get('/api/v1/interfaces/web-1%2F0/traffic')).body.traffic === null;
  });
});

test('a forecast changes nothing, and needs the right to read alone', async (t) => {
  const bench = await Bench.start(t);
  const reader = readFileSync(`${bench.data}/read-token`, 'utf8').trim();
  const answer = await bench.post('/api/v1/forecasts', POLICY, { token: reader });
  assert.deepEqual([answer.status, answer.body.sourceCount, answer.body.unknown[0].why], [200, 1, 'absent']);
  const none = await bench.post('/api/v1/forecasts', { ...POLICY, sources: ['no id'] });
  assert.deepEqual([none.status, none.body.unknown], [200, [{ interface: 'no id', why: 'absent' }]]);
  assert.equal((await bench.get('/api/v1/policies')).body.total, 0);
  assert.equal((await bench.post('/api/v1/forecasts', { name: 'p' })).status, 400);
});
