/**
 * What all readers of one topic have in common: its items as text, and since when each is as it is.
 */

/**
 * Items of a topic that are sent. A topic with more says how many there are; lists have them all.
 */
export const MAX_TOPIC_ITEMS = 1000;
/** Items that have gone, of which it is remembered. */
const MAX_REMOVED = 2000;

/** An item as text. What changes at other times than the rest is sent only when it has changed. */
interface Item {
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
  readonly #source: () => ReadonlyMap<string, object>;
  readonly #items = new Map<string, Item>();
  #removed: { key: string; version: number }[] = [];
  #version = 0;
  /** Removals up to this version are not remembered. */
  #forgotten = 0;
  #total = 0;
  #seen: ReadonlyMap<string, object> | undefined;
  /** Messages of this version, by the version that the reader knows. */
  #messages = new Map<number | undefined, string>();

  /** @param source all items by their keys; the same map again where nothing was made since */
  constructor(source: () => ReadonlyMap<string, object>) {
    this.#source = source;
  }

  /** Looks at the items. Returns whether anything has changed. */
  refresh(): boolean {
    const now = this.#source();
    if (now === this.#seen) {
      return false;
    }
    this.#seen = now;
    const next = this.#version + 1;
    const keys = [...now.keys()].sort().slice(0, MAX_TOPIC_ITEMS);
    const shown = new Set(keys);
    let changed = this.#total !== now.size || this.#version === 0;
    this.#total = now.size;
    for (const key of this.#items.keys()) {
      if (!shown.has(key)) {
        this.#items.delete(key);
        this.#removed.push({ key, version: next });
        changed = true;
      }
    }
    for (const key of keys) {
      changed = this.#put(key, now.get(key)!, next) || changed;
    }
    if (changed) {
      this.#version = next;
      this.#messages = new Map();
      this.#forget();
    }
    return changed;
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

  #put(key: string, { sparkline, ...rest }: { sparkline?: unknown }, version: number): boolean {
    const text = JSON.stringify(rest);
    const line = sparkline === undefined ? '' : `,"sparkline":${JSON.stringify(sparkline)}`;
    const before = this.#items.get(key);
    const isSame = before?.text === text;
    const isSameLine = before?.sparkline === line;
    if (isSame && isSameLine) {
      return false;
    }
    this.#items.set(key, {
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
