/**
 * A sender that misses a change keeps sending with the old meaning, and an outsider sends what he
 * guesses. Neither may reach a destination.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyInput } from '@mirrorplane/contract';
import { FORGED_SOURCE, forgedCopies } from './support/forged-erspan.ts';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { framesOf, sourceMac, watch } from './support/taps.ts';
import { ping, sendFrames, startPings } from './support/traffic.ts';

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
  const pings = await startPings(lab(), 'web-1', 'web-2', 4000, { interval: 0.02 });
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

test('an outsider who tries every session with the address of a node delivers nothing, and is reported', async () => {
  await createPolicy(lab(), { name: 'forged', sources: ['web-1/0'], destination: 'ids-1/0' });
  await activeEventually(lab(), 'forged');
  const frames = await forgedCopies(lab(), { from: 'node-1', to: 'node-2' });
  const codes = async () => {
    const { body } = await lab().api('GET', '/api/v1/nodes/node-2');
    return (body as { problems: { code: string }[] }).problems.map(({ code }) => code);
  };
  const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
    const tryAll = async () => {
      await sendFrames(lab(), 'node-3', 'underlay0', frames);
      return (await codes()).includes('COPIES_FORGED');
    };
    await until('the node reports forged copies', tryAll, { limitMs: 30_000, pauseMs: 200 });
    await ping(lab(), 'web-1', 'web-2', PINGS);
    await captures.destination.waitFor(PINGS);
  });
  const [arrived] = await framesOf(seen.destination);
  assert.ok(arrived!.some((frame) => sourceMac(frame) === macOf('web-1')));
  assert.equal(arrived!.filter((frame) => sourceMac(frame) === FORGED_SOURCE).length, 0);
  await deletePolicy(lab(), 'forged');
});
