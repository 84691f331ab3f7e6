/**
 * A sender that misses a change keeps sending with the old meaning. Its copies must not reach
 * another destination.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { framesOf, sourceMac, watch } from './support/taps.ts';
import { ping, startPings } from './support/traffic.ts';

const PINGS = 20;
const lab = useLab();

/** MAC of a guest as bytes of a frame. */
const macOf = (host: string) => lab().mac(host).replaceAll(':', '');

/**
 * While the agent of node-1 is dead: makes `change`, lets web-1 send, and looks what comes out at
 * the host.
 */
async function whileAway(host: string, change: () => Promise<void>): Promise<string[]> {
  await lab().stopAgent('node-1', 'SIGKILL');
  try {
    await change();
    const seen = await watch(lab(), { destination: { host } }, async () => {
      await ping(lab(), 'web-1', 'web-2', PINGS);
      // The host's own frames follow. When they have arrived, the others would have arrived too.
      await ping(lab(), 'app-1', host, 1);
    });
    const [frames] = await framesOf(seen.destination);
    return frames!;
  } finally {
    await lab().startAgent('node-1');
  }
}

test("after its policy was deleted, a disconnected sender sends nothing to the destination of the node's next policy", async () => {
  await createPolicy(lab(), { name: 'first', sources: ['web-1/0'], destination: 'ids-1/0' });
  await activeEventually(lab(), 'first');
  const next: PolicyInput = { name: 'next', sources: ['app-1/0'], destination: 'db-1/0' };
  const frames = await whileAway('db-1', async () => {
    await deletePolicy(lab(), 'first');
    await createPolicy(lab(), next);
    await activeEventually(lab(), 'next');
  });
  assert.ok(frames.some((frame) => sourceMac(frame) === macOf('app-1')));
  assert.equal(frames.filter((frame) => sourceMac(frame) === macOf('web-1')).length, 0);
  await deletePolicy(lab(), 'next');
});

test('a policy with a new destination and source does not get the copies of its disconnected old sender', async () => {
  const policy: PolicyInput = { name: 'turned', sources: ['web-1/0'], destination: 'ids-1/0' };
  await createPolicy(lab(), policy);
  await activeEventually(lab(), 'turned');
  const frames = await whileAway('db-1', async () => {
    const changed = { ...policy, sources: ['app-1/0'], destination: 'db-1/0' };
    const { status, body } = await lab().api('PUT', '/api/v1/policies/turned', changed);
    assert.equal(status, 200, JSON.stringify(body));
    await activeEventually(lab(), 'turned');
  });
  assert.ok(frames.some((frame) => sourceMac(frame) === macOf('app-1')));
  assert.equal(frames.filter((frame) => sourceMac(frame) === macOf('web-1')).length, 0);
  await deletePolicy(lab(), 'turned');
});

test('an operator sees that a node refuses what a sender sends without proof', async () => {
  const policy: PolicyInput = { name: 'turned', sources: ['web-1/0', 'app-1/0'], destination: 'ids-1/0' };
  await createPolicy(lab(), policy);
  await activeEventually(lab(), 'turned');
  await lab().stopAgent('node-1', 'SIGKILL');
  const { status } = await lab().api('PUT', '/api/v1/policies/turned', { ...policy, destination: 'db-1/0' });
  assert.equal(status, 200);
  const pings = startPings(lab(), 'web-1', 'web-2', 4000, { interval: 0.02 });
  const said = await statusEventually(lab(), 'turned', 'COPIES_UNPROVEN', ({ reasons }) =>
    reasons.some(({ code }) => code === 'COPIES_UNPROVEN'),
  ).finally(() => pings.stop());
  const reason = said.reasons.find(({ code }) => code === 'COPIES_UNPROVEN')!;
  assert.equal(reason.node, 'node-2');
  assert.match(reason.message, /"node-1"/);
  await lab().startAgent('node-1');
  await activeEventually(lab(), 'turned');
  await deletePolicy(lab(), 'turned');
});
