/** The load of a simulated cluster: guests that migrate, policies that are edited, people who read. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { ControllerProcess } from './controller-process.ts';
import { type Fleet, neighbour, pools } from './fleet.ts';
import { now, OVERLAP_MS } from './messages.ts';
import { nodeName, nodesOf, policyName, policyUid, type Size, sourceId, thresholdOf } from './names.ts';

/** Milliseconds from the end of an edit to the next one, and likewise of requests that read. */
const PAUSE_MS = { edit: 1000, read: 250 };
/** Milliseconds after which an edit or a move counts as this long. */
export const LIMIT_MS = 60_000;

/** What people read: a list and a search of each of these. */
const READS = [
  ['list', '/api/v1/policies?limit=100&view=summary'],
  ['list', '/api/v1/interfaces?limit=100&view=summary'],
  ['list', '/api/v1/nodes?limit=100&view=summary'],
  ['search', '/api/v1/interfaces?limit=100&view=summary&filter=vm-7-'],
  ['search', '/api/v1/policies?limit=100&view=summary&filter=p-7'],
] as const;

/** Times in milliseconds, and how many changes there were. */
export interface LoadTimes {
  /** From the request of an edit until the last node of the pool has reported it. */
  edits: number[];
  /** From the end of a migration until the API says that the interface is on the other node. */
  shown: number[];
  lists: number[];
  searches: number[];
  moves: number;
}

export class Load {
  readonly #controller: ControllerProcess;
  readonly #fleet: Fleet;
  readonly #size: Size;
  readonly #moving: number;
  /** What has been measured so far. */
  readonly times: LoadTimes = { edits: [], shown: [], lists: [], searches: [], moves: 0 };
  /** Where interfaces are that have left their first node. */
  readonly #places = new Map<string, number>();
  /** The last move that nobody follows, and when its guest has left the first node. */
  #last: { id: string; node: number; at: number } | undefined;
  #edits = 0;
  #ends = 0;

  /** @param moving the share of interfaces that move in a minute */
  constructor(controller: ControllerProcess, fleet: Fleet, size: Size, moving: number) {
    this.#moving = moving;
    this.#controller = controller;
    this.#fleet = fleet;
    this.#size = size;
  }

  /** Puts the load on the cluster. @param ms how long */
  async run(ms: number): Promise<void> {
    this.#ends = performance.now() + ms;
    await Promise.all([this.#move(), this.#edit(), this.#read(), this.#follow()]);
  }

  get #isOver(): boolean {
    return performance.now() >= this.#ends;
  }

  async #move(): Promise<void> {
    const { nodes, interfaces } = this.#size;
    const everyMs = 60_000 / (nodes * interfaces * this.#moving);
    for (let next = performance.now(); !this.#isOver; ) {
      if (performance.now() >= next) {
        this.#moveOne();
        next += everyMs;
      }
      await sleep(Math.min(Math.max(0, next - performance.now()), 200));
    }
  }

  /** The interfaces move in turn, of one node after the other. */
  #moveOne(): void {
    const { nodes, interfaces } = this.#size;
    const turn = this.times.moves++;
    const home = (turn % nodes) + 1;
    const id = sourceId(home, (Math.floor(turn / nodes) % interfaces) + 1);
    const from = this.#places.get(id) ?? home;
    const node = neighbour(from, this.#size);
    this.#places.set(id, node);
    this.#fleet.move({ id, from, to: node });
    this.#last = { id, node, at: now() + OVERLAP_MS };
  }

  async #edit(): Promise<void> {
    const all = pools(this.#size);
    while (!this.#isOver) {
      const turn = this.#edits++;
      const pool = all[turn % all.length]!;
      const { first, last } = nodesOf(pool, this.#size);
      const node = first + (Math.floor(turn / all.length) % (last - first + 1));
      const percent = 99 - (turn % 90) / 2;
      const threshold = thresholdOf(percent);
      this.#fleet.expect(policyUid(node), threshold, pool, this.#size);
      const began = now();
      await this.#controller.api('PATCH', `/api/v1/policies/${policyName(node)}`, { percent });
      const at = await untilOrNever(() => this.#fleet.acknowledgedAt(policyUid(node), threshold));
      this.times.edits.push(at === undefined ? LIMIT_MS : at - began);
      await sleep(PAUSE_MS.edit);
    }
  }

  /** Follows one move after the other until the controller shows it. */
  async #follow(): Promise<void> {
    while (!this.#isOver) {
      const move = this.#last;
      this.#last = undefined;
      if (move === undefined) {
        await sleep(5);
        continue;
      }
      const path = `/api/v1/interfaces/${encodeURIComponent(move.id)}`;
      const shown = await untilOrNever(async () => {
        const { home } = await this.#controller.api<{ home?: string }>('GET', path);
        return home === nodeName(move.node) ? now() : undefined;
      });
      this.times.shown.push(shown === undefined ? LIMIT_MS : Math.max(0, shown - move.at));
    }
  }

  async #read(): Promise<void> {
    for (let turn = 0; !this.#isOver; turn++) {
      const [kind, path] = READS[turn % READS.length]!;
      const began = performance.now();
      await this.#controller.api('GET', path);
      const ms = performance.now() - began;
      (kind === 'list' ? this.times.lists : this.times.searches).push(ms);
      await sleep(PAUSE_MS.read);
    }
  }
}

/** Undefined after `LIMIT_MS`. */
async function untilOrNever<T>(check: () => T | undefined | Promise<T | undefined>): Promise<T | undefined> {
  const ends = performance.now() + LIMIT_MS;
  const found = await until('a change', async () => (await check()) ?? performance.now() > ends, {
    limitMs: 2 * LIMIT_MS,
  });
  return found === true ? undefined : (found as T);
}
