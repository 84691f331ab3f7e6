/** The processes with simulated nodes. Whole pools are in one process. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Order, Report } from './messages.ts';
import { nodesOf, POOL_NODES, poolOf, poolsOf, type Size } from './names.ts';

/** Nodes of one process. A number of whole pools. */
const NODES_OF_PROCESS = 5 * POOL_NODES;

interface Member {
  child: ChildProcess;
  first: number;
  last: number;
  joined: boolean;
  capturing: number | undefined;
}

export class Fleet {
  readonly #members: Member[];
  #failure: string | undefined;
  /** Times from the appearance of a device until it was captured, milliseconds. */
  readonly moves: number[] = [];
  readonly #moved = new Set<string>();
  readonly #acknowledged = new Map<string, number>();

  private constructor(size: Size) {
    const processes = Math.ceil(size.nodes / NODES_OF_PROCESS);
    this.#members = Array.from({ length: processes }, (_, index) => {
      const first = index * NODES_OF_PROCESS + 1;
      const last = Math.min(first + NODES_OF_PROCESS - 1, size.nodes);
      const execArgv = ['--disable-warning=ExperimentalWarning', '--max-old-space-size=1024'];
      const child = fork(join(import.meta.dirname, 'nodes-main.ts'), { execArgv });
      const member: Member = { child, first, last, joined: false, capturing: undefined };
      child.on('message', (report: Report) => this.#take(member, report));
      child.on('exit', (code, signal) => {
        this.#failure ??= `a process with nodes ended: ${code ?? signal}`;
      });
      return member;
    });
  }

  /** Starts the processes. Their nodes join. */
  static start(size: Size, start: Omit<Extract<Order, { type: 'start' }>, 'type' | 'first' | 'last' | 'size'>): Fleet {
    const fleet = new Fleet(size);
    for (const { child, first, last } of fleet.#members) {
      child.send({ ...start, type: 'start', first, last, size } satisfies Order);
    }
    return fleet;
  }

  /** Resolves when all nodes have joined. */
  async joined(limitMs: number): Promise<void> {
    await until('all nodes to join', () => this.#check(this.#members.every(({ joined }) => joined)), { limitMs });
  }

  /** All nodes connect. */
  connect(): void {
    for (const member of this.#members) {
      send(member, { type: 'connect' });
    }
  }

  /** Nodes whose data path captures all sources that they have. */
  async capturing(): Promise<number> {
    for (const member of this.#members) {
      member.capturing = undefined;
      send(member, { type: 'ask' });
    }
    await until(
      'the processes to answer',
      () => this.#check(this.#members.every(({ capturing }) => capturing !== undefined)),
      { limitMs: 120_000 },
    );
    return this.#members.reduce((sum, { capturing = 0 }) => sum + capturing, 0);
  }

  move(order: Omit<Extract<Order, { type: 'move' }>, 'type'>): void {
    this.#moved.delete(order.id);
    send(this.#of(order.to), { type: 'move', ...order });
  }

  /** Whether the last move of an interface has been captured. */
  hasMoved(id: string): boolean {
    return this.#check(this.#moved.has(id));
  }

  /** All nodes of a pool are to have this threshold of a policy. See `acknowledgedAt`. */
  expect(policy: string, threshold: number, pool: number, size: Size): void {
    const { first, last } = nodesOf(pool, size);
    send(this.#of(first), { type: 'expect', policy, threshold, first, last });
  }

  /** When the last node has reported it, milliseconds since 1970; undefined: not yet. */
  acknowledgedAt(policy: string, threshold: number): number | undefined {
    this.#check(true);
    return this.#acknowledged.get(`${policy} ${threshold}`);
  }

  /** Process ids. */
  get pids(): number[] {
    return this.#members.map(({ child }) => child.pid!);
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#members.map(async ({ child }) => {
        if (child.exitCode === null && child.signalCode === null) {
          child.kill('SIGKILL');
          await once(child, 'exit');
        }
      }),
    );
  }

  #of(node: number): Member {
    return this.#members.find(({ first, last }) => node >= first && node <= last)!;
  }

  #take(member: Member, report: Report): void {
    if (report.type === 'joined') {
      member.joined = true;
    } else if (report.type === 'failed') {
      this.#failure ??= report.message;
    } else if (report.type === 'moved') {
      this.moves.push(report.ms);
      this.#moved.add(report.id);
    } else if (report.type === 'acknowledged') {
      this.#acknowledged.set(`${report.policy} ${report.threshold}`, report.at);
    } else {
      member.capturing = report.capturing;
    }
  }

  /** @throws Error if a process has failed */
  #check<T>(value: T): T {
    if (this.#failure !== undefined) {
      throw new Error(this.#failure);
    }
    return value;
  }
}

function send({ child }: Member, order: Order): void {
  if (child.connected) {
    child.send(order);
  }
}

/** Numbers of all pools of a cluster. */
export function pools(size: Size): number[] {
  return Array.from({ length: poolsOf(size) }, (_, index) => index + 1);
}

/** The next node of the same pool. */
export function neighbour(node: number, size: Size): number {
  const { first, last } = nodesOf(poolOf(node), size);
  return node === last ? first : node + 1;
}
