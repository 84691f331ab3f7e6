/** A process with many simulated nodes. It takes orders from the process that has forked it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatapathState, enroll, type StoredCredentials } from '@mirrorplane/agent/testing';
import type { AgentMessage } from '@mirrorplane/contract';
import { now, type Order, OVERLAP_MS, type Report } from './messages.ts';
import { destinationId, destinationNode, nodeName, nodesOf, poolOf, sourceId } from './names.ts';
import { SharedParts } from './shared-parts.ts';
import { SentCopies } from './simulated-datapath.ts';
import { SimulatedNode } from './simulated-node.ts';

/** Nodes that enrol at a time. */
const JOINING = 4;

type Start = Extract<Order, { type: 'start' }>;
type Expectation = Extract<Order, { type: 'expect' }> & { waiting: Set<number> };

const tell = (report: Report) => process.send?.(report);

interface Enrolled {
  node: number;
  size: Start['size'];
  controller: string;
  credentials: StoredCredentials;
}

class Nodes {
  readonly #waiting: Enrolled[] = [];
  readonly #nodes = new Map<number, SimulatedNode>();
  readonly #sent = new SentCopies();
  readonly #parts = new SharedParts();
  /** By interface: when its device has appeared, and on which node. */
  readonly #moving = new Map<string, { node: number; at: number }>();
  /** By policy. */
  readonly #expected = new Map<string, Expectation>();
  /** Nodes whose data path has what is expected, and which have not reported it yet: by policy. */
  readonly #reporting = new Map<number, Set<string>>();

  /** All nodes enrol. */
  async join({ first, last, size, controller, tokens, folder }: Start): Promise<void> {
    const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    const joinNext = async () => {
      for (let node = numbers.shift(); node !== undefined; node = numbers.shift()) {
        const name = nodeName(node);
        const data = join(folder, name);
        await mkdir(data, { recursive: true, mode: 0o700 });
        const credentials = await enroll({ node: name, controller, token: tokens[poolOf(node)]!, data });
        this.#waiting.push({ node, size, controller, credentials });
      }
    };
    await Promise.all(Array.from({ length: JOINING }, joinNext));
    tell({ type: 'joined' });
  }

  /** All nodes that have enrolled start their agents, which connect. */
  async connect(): Promise<void> {
    await Promise.all(this.#waiting.splice(0).map((one) => this.#start(one)));
  }

  move({ id, from, to }: Extract<Order, { type: 'move' }>): void {
    this.#moving.set(id, { node: to, at: performance.now() });
    this.#nodes.get(to)?.links.add(id);
    setTimeout(() => this.#nodes.get(from)?.links.remove(id), OVERLAP_MS);
  }

  expect(order: Extract<Order, { type: 'expect' }>): void {
    const waiting = new Set<number>();
    for (let node = order.first; node <= order.last; node++) {
      waiting.add(node);
    }
    this.#expected.set(order.policy, { ...order, waiting });
  }

  capturing(): number {
    return [...this.#nodes.values()].filter(({ links, datapath }) => {
      const captured = new Set(datapath.state.captures.flatMap(({ ifindex }) => (ifindex === 0 ? [] : [ifindex])));
      // Destinations are no sources.
      return links.links().every(({ ifindex, alias }) => captured.has(ifindex) || alias.includes(';id=ids-'));
    }).length;
  }

  async #start({ node, size, controller, credentials }: Enrolled): Promise<void> {
    const sources = Array.from({ length: size.interfaces }, (_, index) => sourceId(node, index + 1));
    const destinations = destinationsOn(node, size).map(destinationId);
    const options = { node, controller, credentials, interfaces: [...sources, ...destinations] };
    const started = await SimulatedNode.start({
      ...options,
      sent: this.#sent,
      parts: this.#parts,
      applied: (state) => this.#applied(node, state),
      sends: (message) => this.#sends(node, message),
    });
    this.#nodes.set(node, started);
  }

  #applied(node: number, { captures }: DatapathState): void {
    if (this.#moving.size > 0) {
      const at = performance.now();
      for (const [id, move] of this.#moving) {
        if (move.node === node && captures.some(({ source, ifindex }) => source === id && ifindex !== 0)) {
          this.#moving.delete(id);
          tell({ type: 'moved', id, ms: at - move.at });
        }
      }
    }
    for (const [policy, { waiting, threshold }] of this.#expected) {
      if (waiting.has(node) && captures.find((capture) => capture.policy === policy)?.threshold === threshold) {
        const policies = this.#reporting.get(node) ?? new Set();
        this.#reporting.set(node, policies.add(policy));
      }
    }
  }

  #sends(node: number, message: AgentMessage): void {
    const policies = message.type === 'status' ? this.#reporting.get(node) : undefined;
    for (const policy of policies ?? []) {
      const expected = this.#expected.get(policy);
      if (expected?.waiting.delete(node) && expected.waiting.size === 0) {
        this.#expected.delete(policy);
        tell({ type: 'acknowledged', policy, threshold: expected.threshold, at: now() });
      }
    }
    policies?.clear();
  }
}

/** Numbers of the policies whose destination is on a node. */
function destinationsOn(node: number, size: Start['size']): number[] {
  const { first, last } = nodesOf(poolOf(node), size);
  const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return all.filter((other) => destinationNode(other, size) === node);
}

const failed = (error: Error) => tell({ type: 'failed', message: error.stack ?? error.message });

const nodes = new Nodes();

process.on('message', (order: Order) => {
  if (order.type === 'start') {
    nodes.join(order).catch(failed);
  } else if (order.type === 'connect') {
    nodes.connect().catch(failed);
  } else if (order.type === 'move') {
    nodes.move(order);
  } else if (order.type === 'expect') {
    nodes.expect(order);
  } else {
    tell({ type: 'told', capturing: nodes.capturing() });
  }
});
process.on('disconnect', () => process.exit(0));
