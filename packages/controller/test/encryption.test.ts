/** What agents are told while a pool begins and ends to encrypt copies, and while nodes change keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { type Delivery, type NodeProgram, type Termination, tunnelAddress } from '@mirrorplane/contract';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const POOL = '/api/v1/pools/east';
const keyOf = (byte: number) => Buffer.alloc(32, byte).toString('base64');
const isSent = (delivery: Delivery) => delivery.kind === 'erspan';

/** A node reports its key, or that it has none. */
function offer(agent: TestAgent, node: number, key: string | undefined, ...devices: ReturnType<typeof vmDevice>[]) {
  const wireguard = key === undefined ? {} : { wireguard: { publicKey: key, port: 51_850 } };
  const underlay = { device: 'eth1', address: `10.0.0.${node}`, mtu: 1600, ...wireguard };
  agent.send({ type: 'inventory', underlay, devices });
}

const sent = (program: NodeProgram | undefined) => program?.deliveries.find(isSent);
const ownKeys = ({ terminations }: NodeProgram) => terminations.map(({ tunnel }: Termination) => tunnel?.ownKey);

test('a pool that demands encryption has no path in clear text, and paths by the newest keys of both nodes', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  const [web, ids] = [vmDevice('web-1/0', 7), vmDevice('ids-1/0', 8)];
  one.inventory(web);
  two.inventory(ids);
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  await until('copies go in clear text', () => sent(one.program) && !('tunnel' in sent(one.program)!));

  await bench.must('PUT', POOL, { domain: 'blue', underlay: 'wireguard' });
  await until('nothing is sent', () => !sent(one.program) && one.program?.captures.length === 0);
  await until('the policy says so', async () => {
    const { reasons } = (await bench.get('/api/v1/policies/p/status')).body;
    const missing = reasons.filter(({ code }: { code: string }) => code === 'WIREGUARD_MISSING');
    return missing.map(({ node }: { node: string }) => node).join() === 'node-1,node-2';
  });

  offer(one, 1, keyOf(1), web);
  offer(two, 2, keyOf(2), ids);
  const delivery = await until('copies go encrypted', () => sent(one.program));
  assert.ok(delivery.kind === 'erspan');
  assert.deepEqual(delivery.tunnel, {
    ...{ ownKey: keyOf(1), peerKey: keyOf(2) },
    endpoint: { address: '10.0.0.2', port: 51_850 },
  });
  assert.equal(delivery.address, tunnelAddress(keyOf(2)));

  const [first, before] = [one.programs.length - 1, two.programs.length];
  offer(two, 2, keyOf(3), ids);
  await until('copies go to the new key', () => {
    const way = sent(one.program);
    return way?.kind === 'erspan' && way.tunnel?.peerKey === keyOf(3);
  });
  await until('the old key goes', () => two.program && ownKeys(two.program).join() === keyOf(3));
  const steps = [...new Set(two.programs.slice(before).map((program) => ownKeys(program).sort().join()))];
  assert.deepEqual(steps, [[keyOf(2), keyOf(3)].sort().join(), keyOf(3)], 'both keys meanwhile');
  assert.ok(
    one.programs.slice(first).every(({ captures }) => captures.length === 1),
    'the capture stays',
  );

  await bench.must('PUT', POOL, { domain: 'blue', description: 'row A' });
  assert.equal((await bench.get(POOL)).body.underlay, 'wireguard', 'nobody ends encryption by mistake');
  await bench.must('PUT', POOL, { domain: 'blue', underlay: 'plain' });
  await until('copies go in clear text again', () => sent(one.program) && !('tunnel' in sent(one.program)!));
});
