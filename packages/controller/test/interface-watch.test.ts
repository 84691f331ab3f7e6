/** What is remembered of interfaces that the inventory does not say itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventDraft, Interface } from '@mirrorplane/contract';
import fc from 'fast-check';
import { interfaceStep, type Whereabouts } from '../src/events/interface-changes.ts';
import { InterfaceWatch } from '../src/events/interface-watch.ts';
import type { Merged } from '../src/inventory/inventory.ts';
import { LiveNodes } from '../src/reports/live-nodes.ts';

const NODES = ['a', 'b'];
const device = fc.record({ node: fc.constantFrom(...NODES), ifindex: fc.constantFrom(5, 6) });
const item = fc.record({
  id: fc.constantFrom('x', 'y', 'z'),
  kind: fc.constantFrom('vm' as const, 'edge' as const),
  devices: fc.uniqueArray(device, { selector: ({ node }) => node, maxLength: 2 }),
  home: fc.constantFrom(undefined, ...NODES),
});
const inventories = fc.array(fc.uniqueArray(item, { selector: ({ id }) => id, maxLength: 3 }), { maxLength: 12 });

type Drawn = typeof item extends fc.Arbitrary<infer T> ? T : never;

function toInterface({ id, kind, devices, home }: Drawn): Interface {
  const rest = { mac: '02:00:00:00:00:01', mtu: 1500, up: true };
  const all = devices.map(({ node, ifindex }) => ({ node, name: `tap${ifindex}`, ifindex, ...rest }));
  const isThere = all.some(({ node }) => node === home);
  return { id, kind, name: id, declared: true, devices: all, revision: 1, ...(isThere && { home }) } as Interface;
}

/** The same with all whereabouts remembered, and all interfaces looked at each time. */
function watchAll() {
  const remembered = new Map<string, Whereabouts>();
  return (interfaces: readonly Interface[]): EventDraft[] => {
    const ids = new Set(interfaces.map(({ id }) => id));
    for (const id of [...remembered.keys()].filter((one) => !ids.has(one))) {
      remembered.delete(id);
    }
    return interfaces.flatMap((one) => {
      const { events, next } = interfaceStep(remembered.get(one.id), one);
      remembered.set(one.id, next);
      return events;
    });
  };
}

test('events are the same as if all whereabouts were remembered', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(inventories, (lists) => {
      const watch = new InterfaceWatch(new LiveNodes(() => 0));
      const all = watchAll();
      for (const [index, list] of lists.entries()) {
        const interfaces = list.map(toInterface).sort((a, b) => (a.id < b.id ? -1 : 1));
        const events = watch.changes({ interfaces, contests: [] } as unknown as Merged);
        const expected = all(interfaces);
        assert.deepEqual(events, index === 0 ? [] : expected);
        for (const { kind } of events) {
          kinds.add(kind);
        }
      }
    }),
    { numRuns: 2000 },
  );
  const wanted = ['interfaceAppeared', 'interfaceGone', 'interfaceMigrated', 'interfaceMigrating', 'interfaceStayed'];
  assert.deepEqual(
    wanted.filter((kind) => !kinds.has(kind)),
    [],
  );
});
