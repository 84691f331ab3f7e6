/** What a node may still do is said, until it has confirmed that it stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';

import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const PINGS = 10;
const lab = useLab({ nodes: 2 });
const POLICY = { name: 'kept', sources: ['web-1/0'], destination: 'fw-1/0' };

/** Copies that fw-1 gets of pings between two others. */
async function copies(): Promise<number> {
  const seen = await watch(lab(), { destination: { host: 'fw-1' } }, async (captures) => {
    await ping(lab(), 'web-1', 'web-2', PINGS);
    // A separate frame after the frames that may be copied.
    await ping(lab(), 'web-2', 'fw-1', 1);
    await captures.destination.waitFor(2);
  });
  return seen.destination.packets - 2;
}

/** Names of policies that node-1 may still copy for. */
const ending = async (): Promise<string[]> => (await lab().api('GET', '/api/v1/nodes/node-1')).body.ending;

test('a disabled policy is ending, with the node that may still copy, until that node has confirmed it', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'kept');
  await lab().stopAgent('node-1', 'SIGKILL');
  const { status } = await lab().api('PUT', '/api/v1/policies/kept', { ...POLICY, enabled: false });
  assert.equal(status, 200);
  // node-2 would capture the source if it came there, until it has confirmed: that takes a moment.
  const { state, reasons } = await statusEventually(lab(), 'kept', 'ending on one node', (status) => {
    return status.state === 'ending' && status.reasons.length === 1;
  });
  assert.equal(state, 'ending');
  assert.deepEqual(
    reasons.map(({ code, node }) => [code, node]),
    [['ENDING_UNCONFIRMED', 'node-1']],
  );
  assert.deepEqual(await ending(), ['kept']);
  assert.ok((await copies()) >= 2 * PINGS, 'it does copy still');
  await lab().startAgent('node-1');
  await statusEventually(lab(), 'kept', 'disabled', ({ state }) => state === 'disabled');
  assert.deepEqual([await ending(), await copies()], [[], 0]);
  await deletePolicy(lab(), 'kept');
});

test('a deleted policy is named at the node that may still copy, over a restart of the controller; a deleted node learns it', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'kept');
  await lab().stopAgent('node-1', 'SIGKILL');
  await deletePolicy(lab(), 'kept');
  assert.deepEqual(await ending(), ['kept']);
  await lab().stopController('SIGKILL');
  await lab().startController();
  assert.deepEqual(await ending(), ['kept']);
  const { items } = (await lab().api('GET', '/api/v1/interfaces')).body;
  for (const { id } of items.filter((one: { edge?: { node: string } }) => one.edge?.node === 'node-1')) {
    assert.equal((await lab().api('DELETE', `/api/v1/interfaces/${id}`)).status, 204);
  }
  const refused = await lab().api('DELETE', '/api/v1/nodes/node-1');
  assert.deepEqual([refused.status, refused.body.code], [409, 'NODE_UNCONFIRMED']);
  assert.match(refused.body.detail, /"kept".*node delete node-1 --dead/);
  assert.deepEqual(await ending(), ['kept'], 'what nobody has confirmed is not forgotten');
  assert.equal((await lab().api('DELETE', '/api/v1/nodes/node-1?dead=true')).status, 204);
  assert.ok((await copies()) >= 2 * PINGS);
  // It never becomes ready: the controller does not know it any more.
  void lab()
    .startAgent('node-1')
    .catch(() => undefined);
  await until('its agent has ended the copies', async () => (await copies()) === 0, { limitMs: 20_000 });
});
