/** The statuses that are kept are those that are made from nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '@mirrorplane/base';
import { captureId, type PolicyStatus } from '@mirrorplane/contract';
import { type CapturesById, Computation, type SourcesAt } from '@mirrorplane/planner';
import fc from 'fast-check';
import { KeptObservation } from '../src/planning/kept-observation.ts';
import { KeptStatuses } from '../src/planning/kept-statuses.ts';
import type { StatusParts } from '../src/planning/policy-status.ts';
import { IDS, type World } from './inventory-world.ts';
import { carryOut, NODES, POLICIES, steps } from './reporting-world.ts';

/** What the outline says of the nodes of sources, from the whole status. */
function sourcesAtOf({ sources }: PolicyStatus): Map<string, SourcesAt> {
  const here = sources.flatMap(({ devices, state }) => devices.map(({ node }) => ({ node, state })));
  const byNode = Map.groupBy(here, ({ node }) => node);
  return new Map(
    [...byNode].map(([node, all]) => {
      const capturing = all.filter(({ state }) => state === 'capturing').length;
      return [node, { sources: all.length, capturing }];
    }),
  );
}

test('after any changes, the kept statuses are those that are made from nothing', () => {
  const told = new Map<string, number>();
  fc.assert(
    fc.property(steps, (list) => {
      carryOut(
        list,
        (parts) => new KeptStatuses(parts),
        (kept, world, parts) => {
          const fresh = new KeptStatuses(parts);
          // What an operator has changed is as it is now, however much else is not made again yet.
          const names = [...world.policies.keys()].sort();
          assert.deepEqual(
            kept.kept().map(({ name, uid, type }) => [name, uid, type]),
            fresh.all().map(({ name, uid, type }) => [name, uid, type]),
          );
          assert.equal(kept.kept().length, names.length);
          assert.deepEqual(atOnce(kept.freshen(Number.POSITIVE_INFINITY)), fresh.all());
          assert.deepEqual(kept.all(), fresh.all());
          for (const stored of world.policies.values()) {
            assert.deepEqual(kept.one(stored), fresh.one(stored));
            assert.deepEqual(kept.outline(stored).sourcesAt, sourcesAtOf(fresh.one(stored)));
          }
          for (const { code } of fresh.all().flatMap(({ reasons }) => reasons)) {
            told.set(code, (told.get(code) ?? 0) + 1);
          }
        },
      );
    }),
    { numRuns: 800 },
  );
  // The changes are of use only where they reach what statuses are made of.
  for (const code of ['COPIES_SURPLUS', 'COPIES_LOST', 'COPIES_DROPPED', 'COPIES_UNPROVEN']) {
    assert.ok(told.has(code), `no status had the reason ${code}`);
  }
});

test('with little time, each call makes other statuses again, until all are as they are', () => {
  fc.assert(
    fc.property(steps, (list) => {
      carryOut(
        list,
        (parts) => new KeptStatuses(parts),
        (kept, world, parts) => {
          const expected = new KeptStatuses(parts).all();
          for (let call = 0; call < world.policies.size; call++) {
            atOnce(kept.freshen(Number.MIN_VALUE));
          }
          assert.deepEqual(kept.kept(), expected);
        },
      );
    }),
    { numRuns: 200 },
  );
});

test('what operators, plannings and agents change between two steps is right when the steps are done', () => {
  const ended = { 'in one step': 0, 'in several steps': 0 };
  fc.assert(
    fc.property(steps, fc.boolean(), (list, isAll) => {
      carryOut(
        list,
        (parts) => {
          const kept = new KeptStatuses(parts);
          const begin = () => (isAll ? kept.refresh() : kept.freshen(Number.MIN_VALUE));
          return { kept, begin, running: begin(), count: 0 };
        },
        (state, world, parts) => {
          const step = state.running.next();
          state.count++;
          if (!step.done) {
            return;
          }
          ended[state.count === 1 ? 'in one step' : 'in several steps']++;
          const fresh = new KeptStatuses(parts).all();
          const names = ({ name, uid, destination }: (typeof fresh)[number]) => [name, uid, destination.interface];
          assert.deepEqual(step.value.map(names), fresh.map(names));
          assert.equal(step.value.length, world.policies.size);
          assert.deepEqual(state.kept.all(), fresh);
          Object.assign(state, { running: state.begin(), count: 0 });
        },
      );
    }),
    { numRuns: 600 },
  );
  assert.ok(ended['in several steps'] > 100, JSON.stringify(ended));
});

/** All states of captures of a node, by their ids. */
function allOf(captures: CapturesById | undefined): Map<string, unknown> | undefined {
  const ids = POLICIES.flatMap((policy) => IDS.map((id) => captureId(`uid-${policy}`, id)));
  return captures && new Map(ids.map((id) => [id, captures.get(id)]));
}

/** Everything that statuses may ask for, each by itself. */
function readings(kept: KeptObservation, world: World): Map<string, () => unknown> {
  // Nobody asks for a node that is not registered.
  const ofRegistered = (name: string, value: unknown) => (world.nodes.has(name) ? value : undefined);
  const node = (name: string): [string, () => unknown][] => [
    // What guests read is told together with counters.
    [`node ${name}`, () => ({ ...kept.nodes.get(name), readingOf: undefined })],
    [`previous ${name}`, () => ofRegistered(name, kept.previous.get(name))],
    [`refused ${name}`, () => kept.refused.get(name)],
    [`captures ${name}`, () => allOf(kept.captures.get(name))],
  ];
  const policy = (name: string): [string, () => unknown][] => [
    [`counters ${name}`, () => kept.counters.get(`uid-${name}`)],
    [`copying ${name}`, () => kept.copying.get(`uid-${name}`)],
  ];
  const item = (id: string): [string, () => unknown][] => [
    [`unsupported ${id}`, () => kept.unsupported.get(id)],
    [`revoked ${id}`, () => kept.revoked.get(id)],
  ];
  return new Map([...NODES.flatMap(node), ...POLICIES.flatMap(policy), ...IDS.flatMap(item)]);
}

/** Reads each thing again only where it is said to be another one. */
class Reader {
  readonly observation: KeptObservation;
  readonly #computations = new Map<string, { computation: Computation; value: unknown }>();

  constructor(parts: StatusParts) {
    this.observation = new KeptObservation(parts);
  }

  read(world: World): Map<string, unknown> {
    const { tracker } = this.observation.update();
    for (const [name, read] of readings(this.observation, world)) {
      const before = this.#computations.get(name);
      if (before === undefined || tracker.isStale(before.computation)) {
        const computation = before?.computation ?? new Computation();
        this.#computations.set(name, { computation, value: structuredClone(tracker.run(computation, read)) });
      }
    }
    return new Map([...this.#computations].map(([name, { value }]) => [name, value]));
  }
}

test('after any changes, each thing that was reported is as it is read from nothing, or is said to have changed', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(steps, (list) => {
      carryOut(
        list,
        (parts) => new Reader(parts),
        (reader, world, parts) => {
          const fresh = new Reader(parts).read(world);
          assert.deepEqual(reader.read(world), fresh);
          for (const [name, value] of fresh) {
            if (value !== undefined) {
              seen.add(name);
            }
          }
        },
      );
    }),
    { numRuns: 400 },
  );
  for (const one of [`previous ${NODES[0]}`, `refused ${NODES[0]}`, `counters ${POLICIES[0]}`]) {
    assert.ok(seen.has(one), `there was never: ${one}`);
  }
});
