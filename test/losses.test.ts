/**
 * What is lost between two nodes, or duplicated, is counted and said, and nothing is said to be
 * lost that is on its way.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, policyStatus, statusEventually } from './support/policy.ts';
import { ping, startPings } from './support/traffic.ts';

const lab = useLab({ nodes: 2 });
const POLICY = { name: 'far', sources: ['web-1/0'], destination: 'ids-1/0' };

test('live traffic on a lab that loses nothing shows no loss at any time', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'far');
  const pings = await startPings(lab(), 'web-1', 'web-2', 1_000_000, { interval: 0.002 });
  await statusEventually(lab(), 'far', 'a number', ({ lost }) => lost !== null);
  const seen = new Set<number | null>();
  const counted = (await policyStatus(lab(), 'far')).totals.copied.packets;
  const last = await statusEventually(lab(), 'far', 'some thousand copies', ({ lost, totals }) => {
    seen.add(lost);
    return totals.copied.packets > counted + 3000;
  });
  pings.stop();
  assert.deepEqual([...seen], [0]);
  assert.equal(last.state, 'active');
  await deletePolicy(lab(), 'far');
});

test('copies that the underlay drops are counted as lost, exactly, and the status names the path', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'far');
  await ping(lab(), 'web-1', 'web-2', 50);
  await statusEventually(lab(), 'far', '100 delivered', ({ delivered }) => delivered?.packets === 100);
  // The switch between the nodes lets no GRE out to node-2.
  const nft = (command: string) => lab().exec('fabric', ['nft', command]);
  await nft('add table bridge loss');
  await nft('add chain bridge loss out { type filter hook forward priority 0; }');
  await nft('add rule bridge loss out oifname "u-node-2" ip protocol 47 drop');
  await ping(lab(), 'web-1', 'web-2', 60);
  const said = await statusEventually(lab(), 'far', '120 lost', ({ lost }) => lost === 120);
  const reasons = await statusEventually(lab(), 'far', 'COPIES_LOST', (status) =>
    status.reasons.some(({ code }) => code === 'COPIES_LOST'),
  );
  assert.match(reasons.reasons.find(({ code }) => code === 'COPIES_LOST')!.message, /"node-1" to node "node-2"/);
  assert.equal(said.paths[0]!.lost, 120);
  await nft('delete table bridge loss');
  await ping(lab(), 'web-1', 'web-2', 50);
  const after = await statusEventually(lab(), 'far', '200 delivered', ({ delivered }) => delivered?.packets === 200);
  assert.equal(after.lost, 120);
  await activeEventually(lab(), 'far');
  await deletePolicy(lab(), 'far');
});

test('copies that the underlay doubles are said to be more than was sent, for a while', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'far');
  const nft = (command: string) => lab().exec('fabric', ['nft', command]);
  // The switch between the nodes sends GRE of node-1 to node-2 once more.
  await nft('add table netdev duplicated');
  await nft('add chain netdev duplicated in { type filter hook ingress device "u-node-1" priority 0; }');
  await nft('add rule netdev duplicated in ip protocol 47 dup to "u-node-2"');
  await ping(lab(), 'web-1', 'web-2', 30);
  await nft('delete table netdev duplicated');
  const said = await statusEventually(lab(), 'far', 'COPIES_SURPLUS', ({ reasons }) =>
    reasons.some(({ code, message }) => code === 'COPIES_SURPLUS' && message.startsWith('60 more copies')),
  );
  assert.equal(said.state, 'degraded');
  const [path] = said.paths;
  assert.deepEqual([path!.sent?.packets, path!.delivered?.packets, path!.lost], [60, 120, 0]);
  await activeEventually(lab(), 'far');
  await deletePolicy(lab(), 'far');
});
