/**
 * What planning costs the controller when one thing changes: planning from nothing and writing every
 * program, against a planner that remembers. `[NODES…]` as arguments; default 100 300 1000.
 */
import type { Inventory, Policy } from '@mirrorplane/contract';
import {
  type Chance,
  type InForce,
  type Plan,
  type PlannedProgram,
  Planner,
  partsOf,
  plan,
  stage,
  textOf,
} from '@mirrorplane/planner';

const [PER_POOL, PER_NODE, PER_POLICY] = [50, 100, 100];
const RUNS = 10;
const CHANCE: Chance = { draw: (bound) => Math.floor(Math.random() * bound), now: 0 };

const nodeName = (index: number) => `node-${String(index).padStart(4, '0')}`;
const sourceId = (index: number) => `vm-${String(index).padStart(6, '0')}/0`;

function deviceOn(node: string) {
  return { node, name: 'tap1', ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true };
}

/**
 * Nodes in pools of one domain, all interfaces of them sources, and a destination for each policy.
 */
function clusterOf(nodes: number): { inventory: Inventory; policies: Policy[] } {
  const names = Array.from({ length: nodes }, (_, index) => nodeName(index));
  const pools = Array.from({ length: Math.ceil(nodes / PER_POOL) }, (_, index) => `pool-${index}`);
  const vm = (id: string, node: string) => ({ id, kind: 'vm' as const, devices: [deviceOn(node)], home: node });
  const count = nodes * PER_NODE;
  const sources = Array.from({ length: count }, (_, i) => vm(sourceId(i), names[Math.floor(i / PER_NODE)]!));
  const policies = Array.from({ length: count / PER_POLICY }, (_, index): Policy => {
    const own = sources.slice(index * PER_POLICY, (index + 1) * PER_POLICY).map(({ id }) => id);
    const name = `p-${String(index).padStart(4, '0')}`;
    return {
      ...{ name, uid: `uid-${name}`, description: '', sources: own, destination: `ids-${name}/0`, direction: 'all' },
      ...{ percent: 100, enabled: true, type: 'virtual', createdAt: '', updatedAt: '', revision: 1, warnings: [] },
    };
  });
  const destinations = policies.map(({ destination }, index) => vm(destination, names[index % nodes]!));
  return {
    policies,
    inventory: {
      domains: [{ name: 'east' }],
      pools: pools.map((name) => ({ name, domain: 'east' })),
      nodes: names.map((name, i) => ({
        name,
        pool: pools[Math.floor(i / PER_POOL)]!,
        underlay: { device: 'mirror', address: `10.9.${i >> 8}.${i & 255}`, mtu: 1600, proves: true },
      })),
      interfaces: [...destinations, ...sources].sort((a, b) => (a.id < b.id ? -1 : 1)),
    },
  };
}

/** A cluster with another place of one interface. */
function moved(inventory: Inventory, id: string, node: string): Inventory {
  const interfaces = inventory.interfaces.map((item) =>
    item.id === id ? { ...item, devices: [deviceOn(node)], home: node } : item,
  );
  return { ...inventory, interfaces };
}

type Programs = ReadonlyMap<string, PlannedProgram>;

/** As after every node has confirmed these programs. */
function atRest(programs: Programs): Map<string, InForce> {
  return new Map(
    [...programs].map(([node, last]) => [node, { confirmed: last, last, possible: [last], connected: true }]),
  );
}

/** Writes what has not been written yet. */
function writeNew(before: Programs, programs: Programs): void {
  for (const program of [...programs].flatMap(([node, one]) => (before.get(node) === one ? [] : [one]))) {
    for (const { captures, deliveries, terminations } of partsOf(program)) {
      for (const list of [captures, deliveries, terminations]) {
        textOf(list);
      }
    }
  }
}

/** Milliseconds. */
function timed<T>(work: () => T): { ms: number; result: T } {
  const began = performance.now();
  const result = work();
  return { ms: performance.now() - began, result };
}

/** What every change cost before, and still costs after a start. @returns milliseconds */
function fromNothing({ inventory, policies }: ReturnType<typeof clusterOf>): { ms: number; bytes: number } {
  const { ms, result } = timed(() => {
    const { programs } = plan(policies, inventory, {}, new Map(), CHANCE);
    return [...programs.values()].reduce((bytes, program) => bytes + JSON.stringify(program).length, 0);
  });
  return { ms, bytes: result };
}

/** A change, and its reverse, some times. @returns milliseconds each, without the first time */
function change(
  planner: Planner,
  first: Plan,
  states: readonly { inventory: Inventory; policies: readonly Policy[] }[],
): { all: number[]; nodes: number } {
  const all: number[] = [];
  let [before, nodes, sessions]: [Programs, number, Plan['sessions']] = [first.programs, 0, first.sessions];
  for (let run = 0; run < 2 * RUNS; run++) {
    const { inventory, policies } = states[run % 2]!;
    const { ms, result } = timed(() => {
      const next = planner.plan(policies, inventory, { sessions, chance: CHANCE });
      const staged = stage(next.programs, atRest(before)).programs;
      writeNew(before, staged);
      return { next, staged };
    });
    nodes = [...result.staged].filter(([node, program]) => before.get(node) !== program).length;
    before = result.next.programs;
    sessions = result.next.sessions;
    all.push(ms);
  }
  return { all: all.slice(1), nodes };
}

function row(name: string, ms: number, { base, nodes = '' }: { base?: number; nodes?: number | string } = {}): void {
  const ratio = base === undefined ? '' : `${(base / ms).toFixed(0)} x`;
  console.log(`${name.padEnd(44)} ${ms.toFixed(1).padStart(10)} ms ${ratio.padStart(10)} ${String(nodes).padStart(6)}`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function measure(nodes: number): void {
  const cluster = clusterOf(nodes);
  const { inventory, policies } = cluster;
  const whole = fromNothing(cluster);
  const planner = new Planner();
  const first = planner.plan(policies, inventory, { chance: CHANCE });
  writeNew(new Map(), first.programs);
  const size = `${nodes} nodes, ${nodes * PER_NODE} sources`;
  row(`${size}: from nothing`, whole.ms, { nodes });
  const source = moved(inventory, sourceId(3), nodeName(1));
  const destination = moved(inventory, policies[0]!.destination, nodeName(1));
  const edited = policies.map((policy, index) => (index === 7 ? { ...policy, percent: 50 } : policy));
  const changes: [string, { inventory: Inventory; policies: readonly Policy[] }][] = [
    ['nothing changes', { inventory, policies }],
    ['a source moves', { inventory: source, policies }],
    ['a destination moves', { inventory: destination, policies }],
    ['a policy is edited', { inventory, policies: edited }],
  ];
  for (const [name, state] of changes) {
    const { all, nodes: concerned } = change(planner, first, [state, { inventory, policies }]);
    row(`  ${name}`, median(all), { base: whole.ms, nodes: concerned });
  }
  const memory = process.memoryUsage().heapUsed / 2 ** 20;
  console.log(`  all programs as text: ${(whole.bytes / 1e6).toFixed(0)} MB; heap ${memory.toFixed(0)} MB`);
}

const sizes = process.argv.slice(2).map(Number);
console.log(`${''.padEnd(44)} ${'median'.padStart(13)} ${'ratio'.padStart(10)} ${'nodes'.padStart(6)}`);
for (const nodes of sizes.length > 0 ? sizes : [100, 300, 1000]) {
  measure(nodes);
}
