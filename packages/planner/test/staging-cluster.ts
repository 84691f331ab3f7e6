/** Nodes that confirm their programs when a test says so, for the tests of staging. */
import assert from 'node:assert/strict';
import type { Policy } from '@mirrorplane/contract';
import {
  type Chance,
  type InForce,
  type PlannedProgram,
  plan,
  type Sessions,
  type Staged,
  stage,
} from '@mirrorplane/planner';
import fc from 'fast-check';
import { inventoryOf, policyOf } from './golden.ts';

export const NODES = ['node-1', 'node-2', 'node-3'];
export const inventory = inventoryOf(
  {
    pools: { 'pool-a': 'east' },
    nodes: Object.fromEntries(NODES.map((name, i) => [name, { pool: 'pool-a', underlay: `10.9.0.${i + 1}` }])),
    interfaces: Object.fromEntries(
      NODES.flatMap((name, i) =>
        ['a', 'b', 'c'].map((letter) => [`${letter}${i + 1}`, { kind: 'vm' as const, on: [name] }] as const),
      ),
    ),
  },
  {},
);

/**
 * Nodes that apply sent programs when the test says so, and a controller that remembers the sent
 * programs.
 */
export class Cluster {
  #sessions: Sessions = {};
  readonly #told = new Map(NODES.map((node) => [node, [] as PlannedProgram[]]));
  /**
   * Index in `#told` of the program in the kernel, and of the program that the node has confirmed.
   */
  readonly #runs = new Map(NODES.map((node) => [node, -1]));
  readonly #confirmed = new Map(NODES.map((node) => [node, -1]));
  readonly away = new Set<string>();
  policies: Policy[] = [];
  inventory = inventory;
  chance: Chance | undefined;
  /** By destination that has just moved: the node that it has left. */
  origins: ReadonlyMap<string, string> = new Map();

  /** Plans, and sends the nodes the programs that are allowed now. */
  tell(expired: readonly string[] = []): Staged {
    const planned = plan(this.policies, this.inventory, this.#sessions, this.origins, this.chance);
    this.#sessions = planned.sessions;
    const staged = stage(planned.programs, this.#inForce(), new Set(expired));
    for (const [node, program] of staged.programs) {
      const told = this.#told.get(node)!;
      if (JSON.stringify(told.at(-1)) !== JSON.stringify(program)) {
        told.push(program);
      }
    }
    return staged;
  }

  #inForce(): Map<string, InForce> {
    return new Map(
      NODES.map((node) => {
        const told = this.#told.get(node)!;
        const known = this.#confirmed.get(node)!;
        const confirmed = told[known];
        const last = told.at(-1);
        const connected = !this.away.has(node);
        const possible = told.slice(Math.max(0, known));
        return [node, { possible, connected, ...(confirmed && { confirmed }), ...(last && { last }) }];
      }),
    );
  }

  /** The kernel of a node gets the newest sent program, and the node confirms it. */
  apply(...nodes: string[]): void {
    for (const node of nodes.filter((name) => !this.away.has(name))) {
      this.#runs.set(node, this.#told.get(node)!.length - 1);
      this.confirm(node);
    }
  }

  /** The kernel of a node gets the next sent program, and the node has not confirmed it yet. */
  take(node: string): void {
    this.#runs.set(node, Math.min(this.#runs.get(node)! + 1, this.#told.get(node)!.length - 1));
  }

  /** A node confirms the program in its kernel. */
  confirm(node: string): void {
    this.#confirmed.set(node, this.#runs.get(node)!);
  }

  /** Sends and applies until no change waits. */
  settle(): void {
    for (let i = 0; i < 10; i++) {
      this.tell();
      this.apply(...NODES);
    }
    assert.deepEqual(this.tell().waiting, []);
  }

  kernel(node: string): PlannedProgram | undefined {
    return this.#told.get(node)![this.#runs.get(node)!];
  }

  /**
   * The termination on node-2 for node-1. A source is captured on every node of its pool, so node-2
   * has other terminations too.
   */
  get fromFirst() {
    return this.kernel('node-2')!.terminations.filter(({ node }) => node === 'node-1');
  }

  /** The place where the copies of a source arrive now; undefined if the source is not captured. */
  pathOf(source: string): string | undefined {
    for (const node of NODES) {
      const program = this.kernel(node);
      const capture = program?.captures.find((one) => one.source === source && NODES[Number(source[1]) - 1] === node);
      const delivery = program?.deliveries.find(({ id }) => id === capture?.delivery);
      if (!delivery) {
        continue;
      }
      if (delivery.kind !== 'erspan') {
        return delivery.interface;
      }
      const there = this.kernel(delivery.node);
      const end = there?.terminations.find(
        (one) =>
          one.node === node &&
          one.session === delivery.session &&
          one.generation === delivery.generation &&
          one.tunnel?.peerKey === delivery.tunnel?.ownKey &&
          one.tunnel?.ownKey === delivery.tunnel?.peerKey,
      );
      const way = there?.deliveries.find(({ id }) => id === end?.delivery);
      return way && way.kind !== 'erspan' ? way.interface : 'lost';
    }
    return undefined;
  }
}

export const policy = (sources: string[], destination: string, more: Partial<Policy> = {}) =>
  policyOf({ name: 'p', sources, destination, ...more });

/** The inventory with some interfaces elsewhere. @param places by id: nodes with a device, the home first */
export function moved(places: Readonly<Record<string, readonly string[] | undefined>>): typeof inventory {
  const elsewhere = inventory.interfaces.map((item) => {
    const nodes = places[item.id];
    return nodes ? { ...item, home: nodes[0]!, devices: nodes.map((node) => ({ ...item.devices[0]!, node })) } : item;
  });
  return { ...inventory, interfaces: elsewhere };
}

/** A cluster whose nodes run these policies. */
export function settled(...policies: Policy[]): Cluster {
  const cluster = new Cluster();
  cluster.settle(); // the nodes are there before the policies
  cluster.policies = policies;
  cluster.settle();
  return cluster;
}

/** What nodes do, in any order: methods of `Cluster`, and a node. */
export const order = fc.array(fc.tuple(fc.constantFrom('apply', 'take', 'confirm'), fc.constantFrom(...NODES)), {
  maxLength: 12,
});
