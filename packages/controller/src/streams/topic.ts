/**
 * What all readers of one topic have in common: its items as text, and since when each is as it is.
 */
import { atOnce } from '@mirrorplane/base';
import type { TopicItems } from './items.ts';

/**
 * Items of a topic that are sent. A topic with more says how many there are; lists have them all.
 */
export const MAX_TOPIC_ITEMS = 1000;
/**
 * Items whose numbers are looked at in one go at most, or a fifth of all: those of a long topic are up
 * to five seconds old.
 */
const NUMBERS = { most: 200, rounds: 5 };
/** Keys that are looked at in one step. */
const STEP = 1024;
/** Items that have gone, of which it is remembered. */
const MAX_REMOVED = 2000;

/** An item as text. What changes at other times than the rest is sent only when it has changed. */
interface Item {
  /** See `Signs`. */
  sign: unknown;
  text: string;
  version: number;
  /** The field `sparkline`, with its comma; empty: there is none. */
  sparkline: string;
  sparklineVersion: number;
}

/** A message of a topic. */
export interface TopicMessage {
  data: string;
  /** What the reader knows then. */
  version: number;
}

export class Topic {
  readonly #source: () => TopicItems;
  readonly #items = new Map<string, Item>();
  #removed: { key: string; version: number }[] = [];
  #version = 0;
  /** Removals up to this version are not remembered. */
  #forgotten = 0;
  #total = 0;
  #seen: TopicItems | undefined;
  /** Place of the item whose numbers are looked at next. */
  #turn = 0;
  /** Messages of this version, by the version that the reader knows. */
  #messages = new Map<number | undefined, string>();

  /** @param source all items; the same object again where nothing was made since */
  constructor(source: () => TopicItems) {
    this.#source = source;
  }

  /** Whether it has looked at its items. */
  get isKnown(): boolean {
    return this.#version > 0;
  }

  /** Looks at the items. Returns whether anything has changed. */
  refresh(): boolean {
    return atOnce(this.steps());
  }

  /** The same in steps. Nobody else may look at the items meanwhile. @returns at its end */
  *steps(): Generator<undefined, boolean> {
    const now = this.#source();
    if (now === this.#seen) {
      return false;
    }
    this.#seen = now;
    const next = this.#version + 1;
    const { keys, total } = yield* firstOf(now);
    const shown = new Set(keys);
    let changed = this.#total !== total || this.#version === 0;
    this.#total = total;
    for (const key of this.#items.keys()) {
      if (!shown.has(key)) {
        this.#items.delete(key);
        this.#removed.push({ key, version: next });
        changed = true;
      }
    }
    const isDue = this.#due(now, keys.length);
    for (const [place, key] of keys.entries()) {
      const item = isDue(key, place) ? now.get(key) : undefined;
      if (item) {
        changed = this.#put(key, item, now.signs?.of(key), next) || changed;
        yield;
      }
    }
    if (changed) {
      this.#version = next;
      this.#messages = new Map();
      this.#forget();
    }
    return changed;
  }

  /** Which items are looked at now: those that are others, and some of those whose numbers may be. */
  #due({ signs }: TopicItems, count: number): (key: string, place: number) => boolean {
    if (signs === undefined) {
      return () => true;
    }
    const part = Math.max(NUMBERS.most, Math.ceil(count / NUMBERS.rounds));
    const begin = count <= part ? 0 : this.#turn % count;
    this.#turn = begin + part;
    return (key, place) => {
      const item = this.#items.get(key);
      const isInPart = !signs.isAll && (place - begin + count) % count < part;
      return isInPart || item === undefined || item.sign !== signs.of(key);
    };
  }

  /**
   * What a reader has to hear that knows this version; undefined: nothing.
   * @param version undefined: it knows nothing
   */
  since(version: number | undefined): TopicMessage | undefined {
    if (version === this.#version) {
      return undefined;
    }
    const known = version !== undefined && version >= this.#forgotten ? version : undefined;
    const data = this.#messages.get(known) ?? this.#messageSince(known);
    this.#messages.set(known, data);
    return { data, version: this.#version };
  }

  #put(key: string, { sparkline, ...rest }: { sparkline?: unknown }, sign: unknown, version: number): boolean {
    const text = JSON.stringify(rest);
    const line = sparkline === undefined ? '' : `,"sparkline":${JSON.stringify(sparkline)}`;
    const before = this.#items.get(key);
    const isSame = before?.text === text;
    const isSameLine = before?.sparkline === line;
    if (isSame && isSameLine) {
      before.sign = sign;
      return false;
    }
    this.#items.set(key, {
      sign,
      text,
      version: isSame ? before.version : version,
      sparkline: line,
      sparklineVersion: isSameLine ? before.sparklineVersion : version,
    });
    return true;
  }

  #messageSince(version: number | undefined): string {
    const since = version ?? -1;
    const upserts: string[] = [];
    for (const { text, version: changed, sparkline, sparklineVersion } of this.#items.values()) {
      if (changed > since || sparklineVersion > since) {
        upserts.push(sparklineVersion > since ? `${text.slice(0, -1)}${sparkline}}` : text);
      }
    }
    const gone = version === undefined ? [] : this.#removed.filter((one) => one.version > version);
    const removed = JSON.stringify([...new Set(gone.map(({ key }) => key))].filter((key) => !this.#items.has(key)));
    const head = version === undefined ? '"snapshot":true,' : '';
    return `{${head}"total":${this.#total},"upserts":[${upserts.join(',')}],"removed":${removed}}`;
  }

  #forget(): void {
    const gone = this.#removed.splice(0, Math.max(0, this.#removed.length - MAX_REMOVED));
    this.#forgotten = gone.at(-1)?.version ?? this.#forgotten;
  }
}

/** The first keys in their order, and how many there are. */
function* firstOf(items: TopicItems): Generator<undefined, { keys: string[]; total: number }> {
  const keys: string[] = [];
  let total = 0;
  for (const key of items.keys()) {
    if (!items.isSorted || total < MAX_TOPIC_ITEMS) {
      keys.push(key);
    }
    if (++total % STEP === 0) {
      yield;
    }
  }
  return { keys: items.isSorted ? keys : keys.sort().slice(0, MAX_TOPIC_ITEMS), total };
}
