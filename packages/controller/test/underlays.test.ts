/** Copies go to the address that an agent offers, so the address must be possible for its node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, vmDevice } from './harness.ts';

test('an address that is another node’s, or of no host, is refused with the reason, and the former one stays', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  const offer = (address: string, mtu = 1600) =>
    two.send({ type: 'inventory', underlay: { device: 'eth1', address, mtu }, devices: [vmDevice('ids-1/0', 6)] });
  const shown = async () => (await bench.get('/api/v1/nodes/node-2')).body;
  await until('both are there', async () =>
    (await bench.get('/api/v1/nodes')).body.items.every((n: { underlay?: object }) => n.underlay),
  );
  const refused: [string, number, RegExp][] = [
    ['10.0.0.1', 1600, /10\.0\.0\.1 already belongs to node "node-1"/],
    ['127.0.0.5', 1600, /loopback/],
    ['239.1.1.1', 1600, /multicast/],
    ['255.255.255.255', 1600, /broadcast/],
    ['0.1.2.3', 1600, /this network/],
    ['169.254.7.7', 1600, /link-local/],
    ['10.0.0.9', 575, /MTU 575/],
    ['10.0.0.9', 65_536, /MTU 65536/],
  ];
  for (const [address, mtu, why] of refused) {
    offer(address, mtu);
    const body = await until(`${address} is refused`, async () => {
      const node = await shown();
      return why.test(node.problems[0]?.message ?? '') && node;
    });
    assert.deepEqual([body.problems[0].code, body.underlay.address], ['NODE_UNDERLAY_REFUSED', '10.0.0.2']);
  }
  offer('10.0.0.9');
  await until('a good one is taken', async () => (await shown()).underlay.address === '10.0.0.9');
  assert.deepEqual((await shown()).problems, []);
  offer('10.0.0.1');
  await until('it is refused', async () => (await shown()).problems.length === 1);
  one.close();
  await until('node-1 is away', async () => !(await bench.get('/api/v1/nodes/node-1')).body.connected);
  await bench.must('DELETE', '/api/v1/nodes/node-1');
  await until('the address is free', async () => (await shown()).underlay.address === '10.0.0.1');
});

test('the key of another node is refused, and so is one with the same address inside', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  const offer = (agent: typeof one, address: string, key: Buffer) => {
    const wireguard = { publicKey: key.toString('base64'), port: 51_850 };
    agent.send({ type: 'inventory', underlay: { device: 'eth1', address, mtu: 1600, wireguard }, devices: [] });
  };
  const shown = async (name: string) => (await bench.get(`/api/v1/nodes/${name}`)).body;
  const key = Buffer.alloc(32, 1);
  offer(one, '10.0.0.1', key);
  await until('node-1 has its key', async () => (await shown('node-1')).underlay?.wireguard);
  const similar = Buffer.concat([key.subarray(0, 4), Buffer.alloc(28, 2)]);
  for (const taken of [key, similar]) {
    offer(two, '10.0.0.2', taken);
    const { problems } = await until('it is refused', async () => {
      const node = await shown('node-2');
      return node.problems.length > 0 && node;
    });
    assert.deepEqual(
      problems.map(({ code }: { code: string }) => code),
      ['NODE_UNDERLAY_REFUSED'],
    );
    assert.match(problems[0].message, /WireGuard key of node "node-1": remove wireguard\.json/);
    offer(two, '10.0.0.2', Buffer.alloc(32, 3));
    await until('another one is taken', async () => (await shown('node-2')).problems.length === 0);
  }
});
