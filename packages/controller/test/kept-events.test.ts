/** Which events are kept where there is no room: those that the rule names, in the order of their ids. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, EventDraft } from '@mirrorplane/contract';
import fc from 'fast-check';
import { accountOf } from '../src/events/accounts.ts';
import { KeptEvents } from '../src/events/kept.ts';

const controller = { kind: 'controller', name: 'controller' } as const;

function draftOf(group: 'nodes' | 'policies' | 'controller', name: string): EventDraft {
  const object = { kind: group === 'policies' ? 'policy' : group === 'nodes' ? 'node' : 'cluster', name } as const;
  const kind = group === 'policies' ? 'policyStateChanged' : 'repaired';
  return { kind, object, message: 'm', cause: controller } as EventDraft;
}

interface Line {
  event: Event;
  bytes: number;
}

/** The rule as it is written, without any haste. */
class Plainly {
  readonly #limits: { limit: number; maxBytes: number };
  readonly #accounts = new Map<string, Map<string, Line[]>>();

  constructor(limits: { limit: number; maxBytes: number }) {
    this.#limits = limits;
  }

  get lines(): Line[] {
    return [...this.#accounts.values()].flatMap((members) => [...members.values()].flat());
  }

  get ids(): number[] {
    return this.lines.map(({ event }) => event.id).sort((a, b) => a - b);
  }

  add(event: Event, bytes: number): void {
    const { group, member } = accountOf(event);
    const members = this.#accounts.get(group) ?? new Map<string, Line[]>();
    this.#accounts.set(group, members);
    members.set(member, [...(members.get(member) ?? []), { event, bytes }]);
    while (this.lines.length > this.#limits.limit) {
      this.#drop(({ length }) => length);
    }
    while (bytesOf(this.lines) > this.#limits.maxBytes && this.lines.length > 1) {
      this.#drop(bytesOf);
    }
  }

  #drop(size: (lines: Line[]) => number): void {
    const [group, members] = largest(this.#accounts, (all) => size([...all.values()].flat()));
    const [member, lines] = largest(members, size);
    lines.shift();
    if (lines.length === 0) {
      members.delete(member);
    }
    if (members.size === 0) {
      this.#accounts.delete(group);
    }
  }
}

const bytesOf = (lines: Line[]) => lines.reduce((sum, { bytes }) => sum + bytes, 0);

/** The first one, of those that are the largest. */
function largest<T>(map: Map<string, T>, size: (one: T) => number): [string, T] {
  const most = Math.max(...[...map.values()].map(size));
  return [...map].find(([, one]) => size(one) === most)!;
}

const added = fc.record({
  group: fc.constantFrom('nodes' as const, 'nodes' as const, 'policies' as const, 'controller' as const),
  name: fc.nat(9).map((number) => `name-${number}`),
  bytes: fc.constantFrom(1, 1, 2, 5, 40),
  times: fc.constantFrom(1, 1, 1, 20),
});

test('after any events, those are kept that the rule names', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(added, { minLength: 1, maxLength: 60, size: 'max' }),
      (limit, maxBytes, list) => {
        const [kept, plainly] = [new KeptEvents({ limit, maxBytes }), new Plainly({ limit, maxBytes })];
        let id = 0;
        for (const { group, name, bytes, times } of list) {
          for (let time = 0; time < times; time++) {
            id += 2;
            const event: Event = { id, at: '', ...draftOf(group, name) };
            kept.add(event, bytes);
            plainly.add(event, bytes);
          }
          const { ids } = plainly;
          const idsOf = (events: Iterable<Event>) => [...events].map((event) => event.id);
          assert.deepEqual(idsOf(kept.since(0)), ids);
          assert.deepEqual(idsOf(kept.newestFirst()), ids.toReversed());
          assert.equal(kept.size, ids.length);
          assert.equal(kept.oldest, ids[0] ?? 0);
          const middle = ids[ids.length >> 1]!;
          for (const after of [middle - 1, middle, id]) {
            assert.deepEqual(
              idsOf(kept.since(after)),
              ids.filter((one) => one > after),
            );
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('of a hundred thousand events of a thousand nodes, each node keeps its last ones', () => {
  const kept = new KeptEvents({ limit: 10_000, maxBytes: 1 << 30 });
  for (let id = 1; id <= 100_000; id++) {
    kept.add({ id, at: '', ...draftOf('nodes', `node-${id % 1000}`) }, 200);
  }
  assert.deepEqual(
    [...kept.since(0)].map(({ id }) => id),
    Array.from({ length: 10_000 }, (_, index) => 90_001 + index),
  );
});
