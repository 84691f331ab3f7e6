/** Events with the cost of a move. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { EventDraft } from '@mirrorplane/contract';
import { HandoverCosts } from '../src/events/handover-costs.ts';

function told(kind: EventDraft['kind'], node: string, more: Partial<EventDraft> = {}): EventDraft {
  const object = { kind: 'interface', name: 'web-1/0' } as const;
  return { kind, object, node, policy: 'ids', message: '', cause: { kind: 'agent', name: node }, ...more };
}

test("a move is measured when the guest's earlier node has reported its end", () => {
  const costs = new HandoverCosts();
  assert.deepEqual(costs.take(told('captureAttached', 'b', { ms: 4.2, missed: 0 })), []);
  const [measured, ...others] = costs.take(told('captureDetached', 'a', { duplicated: 1 }));
  assert.deepEqual(others, []);
  const { kind, node, from, ms, missed, duplicated, policy } = measured!;
  assert.deepEqual(
    [kind, node, from, ms, missed, duplicated, policy],
    ['migrationMeasured', 'b', 'a', 4.2, 0, 1, 'ids'],
  );
  assert.match(measured!.message, /from node a: captured 4.2 ms after .*, 0 packets missed, 1 duplicated/);
  // The cost is reported once.
  assert.deepEqual(costs.take(told('captureDetached', 'a', { duplicated: 1 })), []);
});

test('unknown numbers of a move stay unknown', () => {
  const costs = new HandoverCosts();
  costs.take(told('captureAttached', 'b', { ms: 4 }));
  const [measured] = costs.take(told('captureDetached', 'a'));
  assert.deepEqual(['missed' in measured!, 'duplicated' in measured!], [false, false]);
  assert.match(measured!.message, /an unknown number of packets missed, an unknown number of duplicated/);
});

const nothing: [what: string, events: EventDraft[]][] = [
  [
    'a capture that a policy ended',
    [
      told('captureAttached', 'b', { ms: 4 }),
      told('captureDetached', 'a', { cause: { kind: 'controller', name: 'controller' } }),
    ],
  ],
  [
    'a capture that ended where it had begun',
    [told('captureAttached', 'a', { ms: 4 }), told('captureDetached', 'a', { duplicated: 0 })],
  ],
  ['a capture that a policy began', [told('captureAttached', 'b'), told('captureDetached', 'a', { duplicated: 0 })]],
  ['another kind of event', [told('repaired', 'b', { ms: 4 }), told('captureDetached', 'a', { duplicated: 0 })]],
];
for (const [what, events] of nothing) {
  test(`${what} measures nothing`, () => {
    const costs = new HandoverCosts();
    assert.deepEqual(
      events.flatMap((event) => costs.take(event)),
      [],
    );
  });
}

const second = (seconds: number) => new Date(1_800_000_000_000 + 1000 * seconds).toISOString();

test('a move is measured as well where the agent that the guest has left is heard first', () => {
  const costs = new HandoverCosts();
  assert.deepEqual(costs.take(told('captureDetached', 'a', { duplicated: 0, at: second(2) })), []);
  const [measured] = costs.take(told('captureAttached', 'b', { ms: 500, missed: 3, at: second(2.4) }));
  const { node, from, ms, missed, duplicated, policy } = measured!;
  assert.deepEqual([node, from, ms, missed, duplicated, policy], ['b', 'a', 500, 3, 0, 'ids']);
  assert.deepEqual(costs.take(told('captureDetached', 'a', { duplicated: 0, at: second(2) })), [], 'once');
});

test('a guest that was stopped on one node and is started on another has not migrated live', () => {
  const costs = new HandoverCosts();
  costs.take(told('captureDetached', 'a', { duplicated: 0, at: second(2) }));
  assert.deepEqual(costs.take(told('captureAttached', 'b', { ms: 5, missed: 0, at: second(3) })), []);
  // Without times, this is no migration either.
  costs.take(told('captureDetached', 'b', { duplicated: 0 }));
  assert.deepEqual(costs.take(told('captureAttached', 'c', { ms: 5, missed: 0 })), []);
});
