/** Parts of a program of which no source is on the node: most of them, so they are made once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captureId, type NodeProgram } from '@mirrorplane/contract';
import fc from 'fast-check';
import { identify } from '../src/discovery/devices.ts';
import { reconcile } from '../src/reconcile/reconcile.ts';
import type { Surroundings } from '../src/reconcile/surroundings.ts';
import { link } from './support.ts';

const HERE = identify(
  [
    link('tap-web', 5, { alias: 'mirrorplane:kind=vm;id=web-1/0' }),
    link('tun0', 8, { linkType: 'tun', ethernet: false, alias: 'mirrorplane:kind=vm;id=tun-1/0' }),
  ],
  [],
).devices;

const AROUND: Surroundings = {
  devices: HERE,
  underlay: { underlay: undefined, why: 'there is no device underlay0', asked: false },
  nextHops: new Map(),
};

const captures = fc
  .uniqueArray(
    fc.record({
      policy: fc.constantFrom('p1', 'p2', 'p3'),
      source: fc.constantFrom('web-1/0', 'tun-1/0', 'far-1/0', 'far-2/0', 'far-3/0', 'far-4/0'),
      direction: fc.constantFrom('all' as const, 'inbound' as const, 'outbound' as const),
    }),
    { selector: ({ policy, source }) => `${policy}/${source}`, size: 'max', maxLength: 12 },
  )
  .map((all) =>
    all
      .map(({ policy, source, direction }) => ({
        ...{ id: captureId(policy, source), policy, source, kind: 'vm' as const, sourceSlot: 3 },
        ...{ direction, percent: 50, delivery: `${policy}/local` },
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  );

function program(more: Pick<NodeProgram, 'captures'> & Partial<NodeProgram>): NodeProgram {
  const none = { edges: [], copyVlans: [], standby: [], handingOver: [], deliveries: [], terminations: [] };
  return { node: 'node-1', revision: 4, ...none, ...more };
}

test('they give what each of their captures gives, and the same objects each time', () => {
  let [resting, same] = [0, 0];
  fc.assert(
    fc.property(captures, (all) => {
      const inParts = program({ captures: all });
      const found = reconcile(inParts, AROUND);
      // Where a guest is about to leave, each capture is looked at alone.
      assert.deepEqual(found, reconcile(program({ captures: all, handingOver: ['another'] }), AROUND));
      const again = reconcile(inParts, AROUND).state.captures;
      for (const [index, one] of found.state.captures.entries()) {
        resting += one.ifindex === 0 ? 1 : 0;
        same += one.ifindex === 0 && one === again[index] ? 1 : 0;
      }
    }),
    { numRuns: 200 },
  );
  assert.ok(resting > 100 && same > 100, `${same} of ${resting}`);
});

test('a part of which a source comes is looked at again, and so is one of which a source goes', () => {
  const all = program({
    captures: ['far-1/0', 'web-1/0'].map((source) => ({
      ...{ id: captureId('p1', source), policy: 'p1', source, kind: 'vm' as const, sourceSlot: 3 },
      ...{ direction: 'all' as const, percent: 100, delivery: 'p1/local' },
    })),
  });
  const ifindexes = (devices: Surroundings['devices']) => {
    const { state, waiting, placed } = reconcile(all, { ...AROUND, devices });
    return [state.captures.map(({ ifindex }) => ifindex), waiting.length, placed.length];
  };
  assert.deepEqual(ifindexes([]), [[0, 0, 0, 0], 2, 0]);
  assert.deepEqual(ifindexes(HERE), [[0, 0, 5, 5], 1, 1]);
  assert.deepEqual(ifindexes([]), [[0, 0, 0, 0], 2, 0]);
});
