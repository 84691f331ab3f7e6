/** Which counters of a source that a node has not, as far as is known, are its fault. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type CaptureReport, type CounterReport, type NodeProgram, ZERO } from '@mirrorplane/contract';
import { CounterTotals } from '../../src/reports/counter-totals.ts';
import { counterJudge, type JudgedNode } from '../../src/sync/counter-judge.ts';

const report = { policy: 'p', source: 'web-1/0', direction: 'inbound' } as CaptureReport;
const program = { captures: [{ id: 'p/web-1/0', policy: 'p', source: 'web-1/0' }], deliveries: [], terminations: [] };
const nothing = { captures: [], deliveries: [], terminations: [] };
const policy = { createdAt: 'a', updatedAt: 'a', sources: ['web-1/0'], destination: 'ids-1/0' };

const node: JudgedNode = {
  program: program as unknown as NodeProgram,
  hasInterface: () => false,
  hasClaimed: () => false,
  wasTold: () => true,
  unseen: false,
  mayBring: () => false,
  hasPart: () => true,
  policyOf: () => policy,
  readBefore: undefined,
  now: 0,
};
const judged = (changed: Partial<JudgedNode>) => counterJudge({ ...node, ...changed }).owns('capture', report);

test('a node that was not seen may have had the interface of its program, and no other node', () => {
  assert.equal(judged({ unseen: true }), true);
  assert.equal(judged({}), false);
});

test('what it tells of it after the policy was deleted is neither counted nor its fault', () => {
  const deleted = { program: nothing as unknown as NodeProgram, policyOf: () => undefined };
  assert.equal(judged(deleted), 'unknown');
  assert.equal(judged({ ...deleted, hasPart: () => false }), false, 'it never had a part in it');
});

test('what a node claims that another has is a contest, and its counters are no second fault', () => {
  assert.equal(judged({ hasClaimed: () => true }), 'unknown');
});

test('what was counted for a claim is no fault when the claim is forgotten, until it grows', () => {
  const totals = new CounterTotals();
  const one = (packets: number): CounterReport => {
    const matched = { packets, bytes: 64 * packets };
    const counts = { matched, copied: matched, sampledOut: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
    const capture: CaptureReport = { policy: 'p', source: 'web-1/0', direction: 'inbound', life: 1, counts };
    return { epoch: 'e', captures: [capture], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  };
  const refused = (packets: number, changed: Partial<JudgedNode>) =>
    totals.take(one(packets), counterJudge({ ...node, ...changed })).get('foreign')?.count ?? 0;
  const claimed = { hasClaimed: () => true };
  assert.deepEqual([refused(3, claimed), refused(5, claimed), refused(5, {})], [0, 0, 0]);
  assert.equal(refused(6, {}), 1);
  assert.deepEqual(totals.sums()?.captures, []);
  totals.prune(() => false);
  assert.equal(refused(5, {}), 1, 'with its policy it is forgotten');
});

test('a claim is no excuse for what its own interface cannot have counted', () => {
  const never = { hasPart: () => false, wasTold: () => false, program: nothing as unknown as NodeProgram };
  const judge = counterJudge({
    ...node,
    ...never,
    policyOf: () => ({ ...policy, sources: ['app-1/0'] }),
    hasInterface: () => true,
    hasClaimed: () => true,
  });
  assert.equal(judge.owns('capture', report), false);
  assert.equal(judge.mayBring('capture', report), false);
});

test('what a node brings along from an earlier record is no fault until it grows, and is never counted', () => {
  const totals = new CounterTotals();
  const judge = (isFirst: boolean) => counterJudge({ ...node, mayBring: () => isFirst });
  const report = (count: number, life = 1): CounterReport => {
    const one = { packets: count, bytes: 64 * count };
    const counts = { matched: one, copied: one, sampledOut: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
    const capture: CaptureReport = { policy: 'p', source: 'web-1/0', direction: 'inbound', life, counts };
    return { epoch: 'e', captures: [capture], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  };
  const refused = (...values: Parameters<CounterTotals['take']>) => totals.take(...values).get('foreign')?.count ?? 0;
  assert.equal(refused(report(5), judge(true)), 0);
  assert.ok(totals.isIncomplete, 'the agent is asked again, because the interface may come back');
  assert.equal(refused(report(5), judge(false)), 0);
  assert.equal(refused(report(6), judge(false)), 1, 'it has no such interface, and counts');
  assert.equal(refused(report(5, 2), judge(false)), 1, 'another count of the same name');
  assert.equal(refused(report(5), judge(false)), 0);
  assert.deepEqual(totals.sums()?.captures, []);
  const back = counterJudge({ ...node, hasInterface: () => true });
  assert.equal(refused(report(7), back), 0);
  assert.equal(totals.sums()?.captures[0]?.counts.matched.packets, 7);
});

test('a node that brings along more than is remembered is accused of the rest', () => {
  const totals = new CounterTotals();
  const counts = { matched: ZERO, copied: ZERO, sampledOut: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
  const captures = Array.from({ length: 9000 }, (_, at): CaptureReport => {
    return { policy: 'p', source: `web-${at}/0`, direction: 'inbound', life: 1, counts };
  });
  const report = { epoch: 'e', captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const judge = counterJudge({ ...node, mayBring: () => true });
  assert.equal(totals.take(report, judge).get('foreign')?.count, 9000 - 8192);
});

test('what names another policy or node than its id does is refused, and takes no memory', () => {
  const part = { id: 'p/local', policy: 'p' };
  const ends = { captures: [], deliveries: [part], terminations: [{ ...part, id: 'p/from/node-2' }] };
  const judge = counterJudge({ ...node, program: ends as unknown as NodeProgram });
  const totals = new CounterTotals();
  const one = { packets: 1, bytes: 64 };
  const take = (policies: string[], nodes: string[]) => {
    const deliveries = policies.map((policy) => ({ delivery: 'p/local', policy, sent: one }));
    const counts = { received: one, delivered: one, relayed: one, dropped: {} };
    const terminations = nodes.map((name, at) => {
      const delivered = { packets: at + 1, bytes: 64 * (at + 1) };
      return { termination: 'p/from/node-2', policy: 'p', node: name, ...counts, delivered };
    });
    const report: CounterReport = { epoch: 'e', captures: [], deliveries, terminations, peers: [], unknownErspan: 0 };
    return totals.take(report, judge).get('foreign')?.count ?? 0;
  };
  assert.equal(take(['p'], ['node-2']), 0);
  const names = Array.from({ length: 100 }, (_, at) => `other-${at}`);
  assert.equal(take(names, names), 200);
  const { deliveries, terminations } = totals.sums()!;
  assert.deepEqual([deliveries.length, terminations.length], [1, 1]);
  const grown = [...totals.takeGrown()].flatMap(([policy, amounts]) => [policy, ...amounts.keys()]);
  assert.deepEqual(
    grown.filter((name) => name.includes('other-')),
    [],
  );
});
