/** An agent is believed about its own node alone, and learns of its pool what it needs. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const POLICY = { description: 'what legal asked for', sources: ['web-1/0'], destination: 'ids-1/0' };

/** Two nodes with an interface each, and a policy from the first to the second. */
async function start(t: TestContext) {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 11));
  two.inventory(vmDevice('ids-1/0', 12));
  await until('both interfaces', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  const { uid } = await bench.must('PUT', '/api/v1/policies/secret-name', POLICY);
  await until('the path', () => two.program?.terminations.length === 1 && one.program?.deliveries.length === 1);
  return { bench, one, two, uid };
}

/** Says that the node captures the policy's source. */
function capture(agent: TestAgent, uid: string): void {
  const captures = [{ capture: `${uid}/web-1/0`, device: 'tap11', state: 'capturing' as const }];
  agent.captures = captures;
  agent.send({ type: 'status', appliedRevision: agent.program!.revision, captures, problems: [] });
}

test('a node that says it captures what is on another node is not taken for one that still copies', async (t) => {
  const { bench, one, two, uid } = await start(t);
  one.confirms = false;
  two.confirms = false;
  capture(one, uid);
  const endingOn = async (node: string) => (await bench.get(`/api/v1/nodes/${node}`)).body.ending;
  await bench.must('PATCH', '/api/v1/policies/secret-name', { enabled: false });
  // Both may copy until they confirm that they do not: a guest may have come to either.
  for (const node of ['node-1', 'node-2']) {
    await until(`${node} is waited for`, async () => (await endingOn(node)).length === 1);
  }
  two.confirms = true;
  await until('its program without the policy', () => two.program?.terminations.length === 0);
  two.send({ type: 'status', appliedRevision: two.program!.revision, captures: [], problems: [] });
  await until('the second one has confirmed', async () => (await endingOn('node-2')).length === 0);
  capture(two, uid);
  two.inventory(vmDevice('ids-1/0', 13));
  const ifindex = async () => (await bench.get('/api/v1/nodes/node-2')).body.devices[0].ifindex;
  await until('what it has said is read', async () => (await ifindex()) === 13);
  assert.deepEqual(await endingOn('node-2'), []);
  assert.equal((await endingOn('node-1')).length, 1);
});

test('a program has no names and descriptions of policies, and a look does not say who looks', async (t) => {
  const { bench, one, two } = await start(t);
  for (const { programs } of [one, two]) {
    assert.doesNotMatch(JSON.stringify(programs), /secret-name|legal|admin/);
  }
  await bench.must('POST', '/api/v1/looks', { interfaces: ['web-1/0'] });
  await until('the look', () => one.looks.some((list) => list.length > 0));
  assert.doesNotMatch(JSON.stringify(one.looks), /admin|owner/);
});
