/** The stored events, within limits of number and bytes. */
import type { Event } from '@mirrorplane/contract';
import { type Account, accountOf } from './accounts.ts';

/** Used part of the log. */
interface Size {
  count: number;
  bytes: number;
}

/** The events of one member of a group: ids and sizes, the oldest first. */
interface Holding extends Size {
  entries: { id: number; bytes: number }[];
}

interface Group extends Size {
  members: Map<string, Holding>;
}

/**
 * If there is no room, one event is removed: the oldest of the largest member in the largest group.
 * Size means number of events or bytes, whichever has no room. So a member with many events only
 * removes its own events, and never those of smaller members.
 */
export class KeptEvents {
  readonly #limit: number;
  readonly #maxBytes: number;
  /** In order of ids. */
  readonly #events: Event[] = [];
  readonly #groups = new Map<Account['group'], Group>();
  #bytes = 0;

  /** @param limits the most events, and the most bytes of their lines */
  constructor({ limit, maxBytes }: { limit: number; maxBytes: number }) {
    this.#limit = limit;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#events.length;
  }

  /** Id of the oldest event. 0: there is none. */
  get oldest(): number {
    return this.#events[0]?.id ?? 0;
  }

  /** Adds an event with the highest id. @param bytes of its line in the file */
  add(event: Event, bytes: number): void {
    const { group, member } = accountOf(event);
    const all: Group = this.#groups.get(group) ?? { members: new Map(), count: 0, bytes: 0 };
    const one: Holding = all.members.get(member) ?? { entries: [], count: 0, bytes: 0 };
    one.entries.push({ id: event.id, bytes });
    all.members.set(member, one);
    this.#groups.set(group, all);
    this.#events.push(event);
    this.#resize([one, all], 1, bytes);
    while (this.#events.length > this.#limit) {
      this.#dropOne('count');
    }
    while (this.#bytes > this.#maxBytes && this.#events.length > 1) {
      this.#dropOne('bytes');
    }
  }

  /** Events with an id above `after`, the oldest first. */
  *since(after: number): Generator<Event> {
    for (let at = this.#indexAbove(after); at < this.#events.length; at++) {
      yield this.#events[at]!;
    }
  }

  *newestFirst(): Generator<Event> {
    for (let at = this.#events.length - 1; at >= 0; at--) {
      yield this.#events[at]!;
    }
  }

  #resize(sizes: readonly Size[], count: number, bytes: number): void {
    for (const size of sizes) {
      size.count += count;
      size.bytes += bytes;
    }
    this.#bytes += bytes;
  }

  #dropOne(by: keyof Size): void {
    const [name, group] = largest(this.#groups, by);
    const [member, holding] = largest(group.members, by);
    const { id, bytes } = holding.entries.shift()!;
    this.#resize([holding, group], -1, -bytes);
    if (holding.count === 0) {
      group.members.delete(member);
    }
    if (group.count === 0) {
      this.#groups.delete(name);
    }
    this.#events.splice(this.#indexAbove(id) - 1, 1);
  }

  /** Index of the first event with an id above `after`. */
  #indexAbove(after: number): number {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.id > after) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}

function largest<K, V extends Size>(map: ReadonlyMap<K, V>, by: keyof Size): [K, V] {
  let found: [K, V] | undefined;
  for (const entry of map) {
    if (!found || entry[1][by] > found[1][by]) {
      found = entry;
    }
  }
  return found!;
}
