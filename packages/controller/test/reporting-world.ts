/** Policies, plannings and reports of agents that change as they can, for tests of what is kept of them. */
import {
  type CaptureReport,
  captureId,
  erspanDeliveryId,
  localDeliveryId,
  type Policy,
  terminationId,
  ZERO,
} from '@mirrorplane/contract';
import { type Plan, plan } from '@mirrorplane/planner';
import fc from 'fast-check';
import { CurrentInventory } from '../src/inventory/current-inventory.ts';
import type { StatusParts } from '../src/planning/policy-status.ts';
import type { CounterJudge } from '../src/reports/counted.ts';
import { policiesOf } from '../src/store/policies.ts';
import type { PolicyRecord } from '../src/store/records.ts';
import type { View } from '../src/store/view.ts';
import { vmDevice } from './harness.ts';
import { type Change, changes, IDS, underlayOf, World, WorldView } from './inventory-world.ts';

export const NODES = ['node-1', 'node-2', 'node-3'];
export const POLICIES = ['p-1', 'p-2'];
const AT = '2026-01-01T00:00:00.000Z';
const ALL_BELIEVED: CounterJudge = { fits: () => true, owns: () => true, seconds: () => 1000, mayBring: () => false };

const node = fc.constantFrom(...NODES);
const name = fc.constantFrom(...POLICIES);

/** A world, and what was planned last. */
interface Planned extends World {
  plan?: Plan['policies'];
}

const policyChange = fc
  .tuple(
    name,
    fc.record({
      sources: fc.subarray([...IDS], { minLength: 1 }),
      destination: fc.constantFrom('a', 'b', 'ids'),
      enabled: fc.boolean(),
      state: fc.constantFrom('approved' as const, 'pending' as const),
    }),
    fc.boolean(),
  )
  .map(
    ([policy, { state, ...spec }, isGone]): Change =>
      (world) => {
        if (isGone) {
          world.changedPolicies.push(policy);
          world.policies.delete(policy);
        } else {
          putPolicy(world, policy, { ...spec, approval: { state } });
        }
      },
  );

const status = fc
  .tuple(
    node,
    fc.array(
      fc.record({
        policy: name,
        source: fc.constantFrom(...IDS),
        state: fc.constantFrom('capturing' as const, 'refused' as const),
        code: fc.constantFrom(undefined, 'ARRIVAL_UNSEEN'),
      }),
      { maxLength: 4 },
    ),
    fc.subarray([
      { code: 'DEVICE_UNSUPPORTED', message: 'is a bridge', interface: 'a' },
      { code: 'NEIGHBOUR_UNKNOWN', message: 'no answer' },
    ]),
    fc.nat(3),
  )
  .map(
    ([from, captures, problems, appliedRevision]): Change =>
      ({ live }) =>
        live.status(
          from,
          {
            ...{ type: 'status', appliedRevision, problems },
            captures: captures.map(({ policy, source, state, code }) => ({
              ...{ capture: captureId(`uid-${policy}`, source), device: 'tap1', state },
              ...(code !== undefined && { code }),
            })),
          },
          () => new Map(),
        ),
  );

const NO_REFUSALS = { wrongAddress: 0, wrongSecret: 0, wrongDevice: 0, tooFar: 0, oddHeader: 0 };

const count = (packets: number) => ({ packets, bytes: 100 * packets });

/**
 * Counters that grow, with drops now and then, and an epoch that changes. Copies can arrive twice, and
 * those of another node can be refused.
 */
const counters = fc
  .tuple(
    node,
    name,
    fc.constantFrom(...IDS),
    node,
    fc.nat(5),
    fc.nat(2),
    fc.constantFrom('e-1', 'e-1', 'e-2'),
    fc.nat(9),
    fc.nat(2),
  )
  .map(
    ([from, policy, source, other, grown, dropped, epoch, twice, refused]): Change =>
      (world) => {
        const packets = Math.floor((world.now - Date.UTC(2026, 0, 1)) / 1000) + grown;
        const uid = `uid-${policy}`;
        const counts = { matched: count(packets), sampledOut: ZERO, copied: count(packets - dropped) };
        const capture: CaptureReport = {
          ...{ policy: uid, source, direction: 'inbound' },
          counts: {
            ...{ ...counts, truncated: count(dropped), skipped: {} },
            dropped: dropped > 0 ? { noDelivery: count(dropped) } : {},
          },
        };
        const id = other === from ? localDeliveryId(uid) : erspanDeliveryId(uid, other);
        const come = count(packets + twice);
        const arrived = { received: come, delivered: come, relayed: ZERO, dropped: {} };
        const peers = [{ address: underlayOf(other).address, ...NO_REFUSALS, staleSession: grown * refused }];
        const report = {
          ...{ epoch, captures: [capture], peers, unknownErspan: 0 },
          deliveries: [{ delivery: id, policy: uid, sent: count(packets) }],
          terminations: [{ termination: terminationId(uid, other), policy: uid, node: other, ...arrived }],
        };
        const reading = { run: epoch, readAt: world.now % 1e9 };
        world.live.counters.take(from, { type: 'counters', reading, report }, ALL_BELIEVED, true);
      },
  );

const period: Change = ({ live, policies }) => {
  const uids = new Set([...policies.values()].map(({ value }) => value.uid));
  live.counters.tick((uid) => uids.has(uid));
};

/** Two nodes have the interfaces, and a policy copies from both of them. */
function begin(world: Planned): void {
  for (const id of IDS) {
    world.write(id, { id, kind: 'vm', name: id, declared: true });
  }
  world.live.inventory(
    'node-1',
    { type: 'inventory', devices: [vmDevice('a', 4), vmDevice('b', 5)] },
    underlayOf('node-1'),
  );
  world.live.inventory('node-2', { type: 'inventory', devices: [vmDevice('c', 4)] }, underlayOf('node-2'));
  putPolicy(world, 'p-1', { sources: ['a', 'c'], destination: 'b', enabled: true, approval: { state: 'approved' } });
}

function putPolicy(world: World, name: string, spec: object): void {
  const value = {
    ...{ name, uid: `uid-${name}`, description: '', direction: 'all', percent: 100, type: 'virtual' },
    ...{ ...spec, createdAt: AT, updatedAt: AT },
  } as unknown as PolicyRecord;
  world.policies.set(name, { value, revision: ++world.revision });
  world.changedPolicies.push(name);
}

/** A planning: of the policies that are in force. */
function planNow(world: Planned, parts: StatusParts): void {
  const policies: Policy[] = policiesOf(parts.view);
  world.plan = plan(policies, parts.inventory.now()).policies;
}

/** Steps of a world, and whether it is planned after each. */
export const steps = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 3, arbitrary: changes },
      { weight: 2, arbitrary: policyChange },
      { weight: 3, arbitrary: status },
      { weight: 4, arbitrary: counters },
      fc.constant(period),
    ),
    fc.boolean(),
  ),
  { minLength: 1, maxLength: 30, size: 'max' },
);

/** Carries out steps. @param look called after each @param begun called before the first */
export function carryOut<T>(
  list: readonly (readonly [Change, boolean])[],
  begun: (parts: StatusParts) => T,
  look: (state: T, world: World, parts: StatusParts) => void,
): void {
  const world: Planned = new World();
  begin(world);
  const worldView = new WorldView(world);
  const view = worldView as unknown as View;
  const planning = {
    get planned() {
      return { policies: world.plan ?? new Map() };
    },
  };
  const parts = {
    ...{ view, live: world.live, planning },
    inventory: new CurrentInventory(view, world.live),
  } as unknown as StatusParts;
  const state = begun(parts);
  for (const [change, isPlanned] of list) {
    change(world);
    worldView.step();
    if (isPlanned) {
      planNow(world, parts);
    }
    look(state, world, parts);
  }
}
