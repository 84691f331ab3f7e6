/** Bounds of policies, and plans of large clusters. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Inventory, MANY_POLICIES, MAX_SOURCES, type Policy } from '@mirrorplane/contract';
import { MAX_SESSIONS_PER_NODE, observe, plan, statusFrom, validate } from '@mirrorplane/planner';
import { MAX_COPY_MACS } from '../src/copy-vlans.ts';
import { manyPolicies } from './arbitrary.ts';
import { inventoryOf, policyOf, specOf } from './golden.ts';

function clusterOf(nodes: number, nodesPerPool: number, sources: number): Inventory {
  const name = (index: number) => `node-${index}`;
  const device = (node: string) => ({ node, name: 'd', ifindex: 1, mac: '02:00:00:00:00:01', mtu: 1500, up: true });
  const vm = (id: string, index: number) => ({ id, kind: 'vm' as const, devices: [device(name(index % nodes))] });
  return {
    domains: [{ name: 'east' }],
    pools: Array.from({ length: nodes / nodesPerPool }, (_, index) => ({ name: `pool-${index}`, domain: 'east' })),
    nodes: Array.from({ length: nodes }, (_, index) => ({
      name: name(index),
      pool: `pool-${Math.floor(index / nodesPerPool)}`,
      underlay: { device: 'mirror', address: `10.9.${Math.floor(index / 250)}.${(index % 250) + 1}`, mtu: 1600 },
    })),
    interfaces: [
      ...Array.from({ length: sources }, (_, index) => vm(`s${index}`, index)),
      ...Array.from({ length: nodes }, (_, index) => vm(`d${index}`, index)),
    ],
  };
}

/** An array that counts how often an element is read. */
function counting<T>(items: readonly T[]): { items: T[]; reads: () => number } {
  let reads = 0;
  const proxy = new Proxy([...items], {
    get(target, key) {
      reads += typeof key === 'string' && /^\d+$/.test(key) ? 1 : 0;
      return Reflect.get(target, key);
    },
  });
  return { items: proxy, reads: () => reads };
}

test('1000 policies of 10 sources over 100 nodes are planned and judged reading every list a few times only', () => {
  const base = clusterOf(100, 10, 10_000);
  const policies: Policy[] = Array.from({ length: 1000 }, (_, index) =>
    policyOf({
      name: `p${index}`,
      sources: Array.from({ length: 10 }, (_, slot) => `s${index * 10 + slot}`),
      destination: `d${index % 100}`,
    }),
  );
  const interfaces = counting(base.interfaces);
  const nodes = counting(base.nodes);
  const inventory = { ...base, interfaces: interfaces.items, nodes: nodes.items };
  const result = plan(policies, inventory);
  const captures = [...result.programs.values()].reduce((sum, program) => sum + program.captures.length, 0);
  assert.equal(captures, 1000 * 10 * 10);
  assert.ok([...result.policies.values()].every(({ reasons }) => reasons.length === 0));
  const observation = observe(inventory, new Map());
  const states = policies.map((policy) => statusFrom(policy, result.policies.get(policy.uid)!, observation).state);
  assert.deepEqual([...new Set(states)], ['degraded']);
  assert.ok(interfaces.reads() <= 4 * base.interfaces.length, `${interfaces.reads()} reads of interfaces`);
  assert.ok(nodes.reads() <= 4 * base.nodes.length, `${nodes.reads()} reads of nodes`);
});

test('accepts 1024 sources, and refuses a 1025th with POLICY_TOO_MANY_SOURCES', () => {
  const inventory = clusterOf(2, 2, MAX_SOURCES + 1);
  const spec = (count: number) =>
    specOf({ sources: Array.from({ length: count }, (_, index) => `s${index}`), destination: 'd0' });
  assert.deepEqual(validate(spec(MAX_SOURCES), { policies: [], inventory }).refusals, []);
  const { refusals } = validate(spec(MAX_SOURCES + 1), { policies: [], inventory });
  assert.deepEqual(
    refusals.map(({ code, field }) => [code, field]),
    [['POLICY_TOO_MANY_SOURCES', 'sources']],
  );
  assert.match(refusals[0]!.message, /1025.*1024/);
});

test('the last of 1024 sources has slot 1023, which the ERSPAN index can carry', () => {
  const sources = Array.from({ length: MAX_SOURCES }, (_, index) => `s${index}`);
  const policy = policyOf({ name: 'p', sources, destination: 'd0' });
  const { captures } = plan([policy], clusterOf(2, 2, MAX_SOURCES)).programs.get('node-0')!;
  assert.equal(Math.max(...captures.map(({ sourceSlot }) => sourceSlot)), 1023);
});

test('the 100th policy is accepted in silence, and the 101st with the warning POLICY_MANY', () => {
  const spec = specOf({ sources: ['web-1/0'], destination: 'ids-1/0' });
  const inventory = inventoryOf();
  const hundredth = validate(spec, { policies: manyPolicies(MANY_POLICIES - 1), inventory });
  assert.deepEqual([hundredth.refusals, hundredth.warnings], [[], []]);
  const next = validate(spec, { policies: manyPolicies(MANY_POLICIES), inventory });
  assert.deepEqual(next.refusals, []);
  assert.deepEqual(
    next.warnings.map(({ code }) => code),
    ['POLICY_MANY'],
  );
  assert.match(next.warnings[0]!.message, /101/);
});

test('changing one of 100 policies is no reason for the warning POLICY_MANY', () => {
  const spec = specOf({ name: 'p7', sources: ['web-1/0'], destination: 'ids-1/0' });
  const { warnings } = validate(spec, { policies: manyPolicies(MANY_POLICIES), inventory: inventoryOf() }, 'p7');
  assert.deepEqual(warnings, []);
});

test('a node receives 1023 policies; the 1024th keeps its local captures and gets SESSIONS_EXHAUSTED', () => {
  const count = MAX_SESSIONS_PER_NODE + 1;
  const inventory = clusterOf(2, 2, 2 * count);
  const policies = Array.from({ length: count }, (_, index) =>
    policyOf({
      name: `p${String(index).padStart(4, '0')}`,
      sources: [`s${2 * index}`, `s${2 * index + 1}`],
      destination: 'd0',
    }),
  );
  const result = plan(policies, inventory);
  assert.deepEqual(
    Object.values(result.sessions['node-0']!.policies).map(({ session }) => session),
    Array.from({ length: MAX_SESSIONS_PER_NODE }, (_, index) => index + 1),
  );
  const last = `u-p${MAX_SESSIONS_PER_NODE}`;
  const exhausted = [...result.policies.values()].filter(({ reasons }) => reasons.length > 0);
  assert.deepEqual(
    exhausted.map(({ uid, reasons, paths }) => [uid, reasons.map(({ code, node }) => [code, node]), paths]),
    [[last, [['SESSIONS_EXHAUSTED', 'node-0']], []]],
  );
  const here = result.programs.get('node-0')!.captures.filter(({ policy }) => policy === last);
  assert.deepEqual(
    here.map(({ delivery }) => delivery),
    [`${last}/local`, `${last}/local`],
  );
  assert.ok(!result.programs.get('node-1')!.captures.some(({ policy }) => policy === last));
  assert.ok(result.programs.get('node-1')!.captures.some(({ policy }) => policy === 'u-p1022'));

  const afterwards = plan(policies.slice(1), inventory, result.sessions);
  assert.deepEqual(afterwards.sessions['node-0']!.policies[last], { session: 1, generation: 1, end: 'd0' });
  assert.deepEqual(afterwards.policies.get(last)!.reasons, []);
});

test(`a node is told ${MAX_COPY_MACS} addresses of copies at most: the VLAN ID decides where there is no room, and a warning says so`, () => {
  const each = MAX_COPY_MACS / 8 - 1;
  const hex = (n: number) =>
    `02:00:00:${[16, 8, 0].map((by) => ((n >> by) & 255).toString(16).padStart(2, '0')).join(':')}`;
  const edge = (id: string, node: string) => ({
    id,
    kind: 'edge' as const,
    edge: { node, device: 'eth1' },
    devices: [],
  });
  const base = clusterOf(2, 2, 9 * each);
  const inventory: Inventory = {
    ...base,
    interfaces: [
      ...base.interfaces.map((item, i) => ({
        ...item,
        devices: item.devices.map((device) => ({ ...device, guestMacs: [hex(i)] })),
      })),
      edge('mirrored', 'node-0'),
      edge('out', 'node-1'),
    ],
  };
  const pushing = Array.from({ length: 9 }, (_, k) =>
    policyOf({
      name: `p${k}`,
      sources: Array.from({ length: each }, (_, i) => `s${k * each + i}`),
      destination: 'out',
      vlanId: 109 - k,
    }),
  );
  const mirror = policyOf({ name: 'e', sources: ['mirrored'], destination: 'out', vlanId: 300 });
  const { guestCopies = [], copyVlans } = plan([...pushing, mirror], inventory).programs.get('node-0')!;
  assert.deepEqual(
    guestCopies.map(({ vlanId }) => vlanId),
    [101, 102, 103, 104, 105, 106, 107, 108],
  );
  assert.equal(guestCopies.flatMap(({ macs }) => macs).length + guestCopies.length, MAX_COPY_MACS);
  assert.deepEqual(copyVlans, [101, 102, 103, 104, 105, 106, 107, 108, 109, 300]);
  const { warnings } = validate(specOf(mirror), { policies: pushing, inventory });
  const says = (vlan: number) => warnings.find(({ message }) => message.includes(`VLAN ${vlan} `))?.message ?? '';
  assert.match(says(108), /VLAN 108 from or to MAC addresses of sources of policy "p1", broadcast and multicast,/);
  assert.match(says(109), /VLAN 109 at "mirrored" \(node "node-0"\) are not mirrored/);
});
