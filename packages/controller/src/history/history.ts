/**
 * Rates of policies and nodes, second by second: made once, of what the counters of all nodes have grown within the same
 * second. It is in memory only: a restart begins anew.
 */
import { filteredInSteps, inTurnsBeside } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import { involvedNodes } from '@mirrorplane/planner';
import type { Planning } from '../planning/planning.ts';
import { type Amounts, SLOT_MS } from '../reports/grown.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { lossesNow } from './losses-now.ts';
import { SERIES_BYTES } from './series.ts';
import { type Room, Track } from './track.ts';

/** Seconds after which a second is told by all nodes that are there, beside the time between their reports. */
const LATE = 2;
/** Seconds that are made up for where the controller was busy. */
const MOST_AT_ONCE = 10;
/** Milliseconds of a second that have to be told. */
const COVERED_MS = 900;
/** Bytes of all series. */
const MOST_BYTES = 48 << 20;

/** What no reader asks for: a series of each would be kept for nothing. */
const UNUSED_OF_POLICY = /^(sent(:bytes)?|(matched|dropped \w+):bytes)$/;
const UNUSED_OF_NODE = /^(sent .*|matched(:bytes)?|dropped \w+:bytes)$/;

/** What a node told of one policy. */
type NodeAmounts = readonly [node: string, amounts: Amounts];

interface Parts {
  view: View;
  live: LiveNodes;
  planning: Planning;
  log: Logger;
}

export class History {
  readonly #parts: Parts;
  readonly #room: Room = { used: 0, most: Math.floor(MOST_BYTES / SERIES_BYTES) };
  readonly #policies = new Map<string, Track>();
  readonly #nodes = new Map<string, Track>();
  /** By policy and path: the most that was lost so far. What is lost is a lower bound, which may fall for a moment. */
  readonly #lost = new Map<string, number>();
  /** By node: time of the last counters of which losses were made, ISO 8601. */
  readonly #reportedAt = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  readonly #listeners = new Set<() => void>();
  #last = 0;
  #isBusy = false;
  /** Changes of policies and nodes when those that are gone were forgotten last. */
  #pruned = '';

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#timer = setInterval(() => void this.#tick(), SLOT_MS).unref();
  }

  /** The newest second that is known, in seconds since 1970; 0: none yet. */
  get last(): number {
    return this.#last;
  }

  /** @param uid of the policy */
  policy(uid: string): Track | undefined {
    return this.#policies.get(uid);
  }

  node(name: string): Track | undefined {
    return this.#nodes.get(name);
  }

  /** Calls `listener` after each second. Returns what ends that. */
  onSecond(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** In turns with everything else. Where it takes longer than a second, the next one makes up for it. */
  async #tick(): Promise<void> {
    if (this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    try {
      await inTurnsBeside(this.#seconds());
      for (const listener of this.#listeners) {
        listener();
      }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'rates not made');
    } finally {
      this.#isBusy = false;
    }
  }

  /** All seconds that are known by now, and not made yet. */
  *#seconds(): Generator<undefined> {
    const { live } = this.#parts;
    const newest = Math.floor(live.now() / SLOT_MS) - LATE - Math.ceil(live.counters.pace.everyMs / SLOT_MS);
    const from = Math.max(this.#last + 1, newest - MOST_AT_ONCE);
    const lost = from <= newest ? yield* this.#lostSince() : new Map();
    for (let second = from; second <= newest; second++) {
      yield* this.#second(second, second === newest ? lost : undefined);
      this.#last = second;
    }
    yield* this.#prune();
  }

  /** One second of all nodes and policies. */
  *#second(second: number, lost: ReadonlyMap<string, Amounts> | undefined): Generator<undefined> {
    const { view, live, planning } = this.#parts;
    const known = new Set<string>();
    const told = new Map<string, NodeAmounts[]>();
    for (const name of view.all('nodes').keys()) {
      const slot = live.get(name)?.grown.at(second);
      const grown = slot && slot.covered >= COVERED_MS ? slot.grown : undefined;
      if (grown) {
        known.add(name);
        for (const [uid, amounts] of grown) {
          const all = told.get(uid) ?? [];
          told.set(uid, all);
          all.push([name, amounts]);
        }
      }
      trackOf(this.#nodes, name, this.#room).set(second, grown && sumOf(grown.values()));
      yield;
    }
    for (const { value } of view.all('policies').values()) {
      const plan = planning.planned?.policies.get(value.uid);
      const isKnown = plan !== undefined && involvedNodes(plan).every((node) => known.has(node));
      const track = trackOf(this.#policies, value.uid, this.#room);
      track.set(second, isKnown ? amountsOf(told.get(value.uid) ?? [], lost?.get(value.uid)) : undefined);
      yield;
    }
  }

  /** What more was lost since the last second, by policy: in all, and by path. */
  *#lostSince(): Generator<undefined, Map<string, Amounts>> {
    const grown = new Map<string, Amounts>();
    for (const { uid, from, to, lost } of yield* lossesNow(this.#parts, this.#reported())) {
      const key = `${uid} ${from} ${to}`;
      const before = this.#lost.get(key);
      this.#lost.set(key, Math.max(lost, before ?? lost));
      const more = lost - (before ?? lost);
      if (more > 0) {
        const amounts = grown.get(uid) ?? new Map<string, number>();
        grown.set(uid, amounts.set('lost', (amounts.get('lost') ?? 0) + more).set(`lost ${from} ${to}`, more));
      }
    }
    return grown;
  }

  /** Nodes that have reported since this was asked last. */
  #reported(): Set<string> {
    const { view, live } = this.#parts;
    const reported = new Set<string>();
    for (const name of view.all('nodes').keys()) {
      const at = live.get(name)?.countersAt;
      if (at !== undefined && this.#reportedAt.get(name) !== at) {
        this.#reportedAt.set(name, at);
        reported.add(name);
      }
    }
    return reported;
  }

  /** Forgets policies and nodes that are there no more, where any has changed since. */
  *#prune(): Generator<undefined> {
    const { view } = this.#parts;
    const made = `${view.changesOf('policies')} ${view.changesOf('nodes')}`;
    if (this.#pruned === made) {
      return;
    }
    this.#pruned = made;
    const uids = new Set([...view.all('policies').values()].map(({ value }) => value.uid));
    const isGone = (name: string) => view.get('nodes', name) === undefined;
    yield* prune(this.#policies, (uid) => !uids.has(uid));
    yield* prune(this.#nodes, isGone);
    for (const name of yield* filteredInSteps(this.#reportedAt.keys(), isGone)) {
      this.#reportedAt.delete(name);
    }
    for (const key of yield* filteredInSteps(this.#lost.keys(), (one) => !uids.has(one.slice(0, one.indexOf(' '))))) {
      this.#lost.delete(key);
    }
  }
}

function trackOf(tracks: Map<string, Track>, key: string, room: Room): Track {
  const track = tracks.get(key) ?? new Track(room);
  tracks.set(key, track);
  return track;
}

function* prune(tracks: Map<string, Track>, isGone: (key: string) => boolean): Generator<undefined> {
  for (const key of yield* filteredInSteps(tracks.keys(), isGone)) {
    tracks.get(key)!.close();
    tracks.delete(key);
  }
}

/** What nodes told of one policy. What they say of a path has the other end in its name: here both ends are in it. */
function amountsOf(told: readonly NodeAmounts[], lost: Amounts | undefined): Amounts {
  const sum: Amounts = new Map(lost);
  for (const [node, amounts] of told) {
    for (const [name, amount] of amounts) {
      if (!UNUSED_OF_POLICY.test(name)) {
        const named = pathName(name, node);
        sum.set(named, (sum.get(named) ?? 0) + amount);
      }
    }
  }
  return sum;
}

/** `sent node-2` of node-1 is `sent node-1 node-2`, and so is `arrived node-1` of node-2. */
function pathName(name: string, node: string): string {
  const [, what, other, unit] = /^(sent|arrived) ([^:]+)(:bytes)?$/.exec(name) ?? [];
  if (what === undefined) {
    return name;
  }
  const ends = what === 'sent' ? `${node} ${other}` : `${other} ${node}`;
  return `${what} ${ends}${unit ?? ''}`;
}

/** What a node told of all policies, and of all paths together. */
function sumOf(all: Iterable<Amounts>): Amounts {
  const sum: Amounts = new Map();
  for (const amounts of all) {
    for (const [name, amount] of amounts) {
      // What was sent is told of all paths together, too.
      const named = name.replace(/^arrived [^:]+/, 'arrived');
      if (!UNUSED_OF_NODE.test(named)) {
        sum.set(named, (sum.get(named) ?? 0) + amount);
      }
    }
  }
  return sum;
}
