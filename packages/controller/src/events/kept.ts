/** The stored events, within limits of number and bytes. */
import type { Event } from '@mirrorplane/contract';
import { type Account, accountOf } from './accounts.ts';
import { Largest, type Ranked, type Size } from './largest.ts';

/** The place of an event. It stays until there are many empty ones. */
interface Slot {
  readonly id: number;
  readonly bytes: number;
  /** Undefined: it was removed. */
  event: Event | undefined;
  /** The next event of the same member. */
  next: Slot | undefined;
}

/** The events of one member of a group. */
interface Holding extends Ranked {
  readonly member: string;
  oldest: Slot;
  newest: Slot;
}

interface Group extends Size {
  readonly members: Map<string, Holding>;
  readonly largest: { readonly [By in keyof Size]: Largest<Holding> };
}

/** Empty slots that may always be there, in addition to as many as there are events. */
const FEW = 64;

/**
 * If there is no room, one event is removed: the oldest of the largest member in the largest group.
 * Size means number of events or bytes, whichever has no room. So a member with many events only
 * removes its own events, and never those of smaller members.
 */
export class KeptEvents {
  readonly #limit: number;
  readonly #maxBytes: number;
  /** In order of ids, with those that were removed lately. */
  #slots: Slot[] = [];
  /** Index of the first slot that has an event, or number of slots. */
  #first = 0;
  #size = 0;
  #members = 0;
  readonly #groups = new Map<Account['group'], Group>();
  #bytes = 0;

  /** @param limits the most events, and the most bytes of their lines */
  constructor({ limit, maxBytes }: { limit: number; maxBytes: number }) {
    this.#limit = limit;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#size;
  }

  /** Id of the oldest event. 0: there is none. */
  get oldest(): number {
    return this.#slots[this.#first]?.id ?? 0;
  }

  /** Adds an event with the highest id. @param bytes of its line in the file */
  add(event: Event, bytes: number): void {
    const slot: Slot = { id: event.id, bytes, event, next: undefined };
    this.#slots.push(slot);
    this.#size++;
    this.#bytes += bytes;
    this.#hold(slot, accountOf(event));
    while (this.#size > this.#limit) {
      this.#dropOne('count');
    }
    while (this.#bytes > this.#maxBytes && this.#size > 1) {
      this.#dropOne('bytes');
    }
  }

  /** Events with an id above `after`, the oldest first. To be read before the next event is added. */
  *since(after: number): Generator<Event> {
    for (let at = Math.max(this.#first, this.#indexAbove(after)); at < this.#slots.length; at++) {
      const { event } = this.#slots[at]!;
      if (event !== undefined) {
        yield event;
      }
    }
  }

  /** All events, the newest first. To be read before the next event is added. */
  *newestFirst(): Generator<Event> {
    for (let at = this.#slots.length - 1; at >= this.#first; at--) {
      const { event } = this.#slots[at]!;
      if (event !== undefined) {
        yield event;
      }
    }
  }

  #hold(slot: Slot, { group: name, member }: Account): void {
    let group = this.#groups.get(name);
    if (group === undefined) {
      const largest = { count: new Largest<Holding>('count'), bytes: new Largest<Holding>('bytes') };
      group = { members: new Map(), largest, count: 0, bytes: 0 };
      this.#groups.set(name, group);
    }
    group.count++;
    group.bytes += slot.bytes;
    const holding = group.members.get(member);
    if (holding === undefined) {
      this.#begin(group, member, slot);
      return;
    }
    holding.newest.next = slot;
    holding.newest = slot;
    holding.count++;
    holding.bytes += slot.bytes;
    group.largest.count.changed(holding);
    group.largest.bytes.changed(holding);
  }

  #begin({ members, largest }: Group, member: string, slot: Slot): void {
    const order = this.#members++;
    const { bytes } = slot;
    const holding = { member, order, count: 1, bytes, oldest: slot, newest: slot, at: { count: 0, bytes: 0 } };
    members.set(member, holding);
    largest.count.add(holding);
    largest.bytes.add(holding);
  }

  #dropOne(by: keyof Size): void {
    const [name, group] = largestGroup(this.#groups, by);
    const holding = group.largest[by].first!;
    const slot = holding.oldest;
    const heaps = [group.largest.count, group.largest.bytes];
    for (const size of [holding, group]) {
      size.count--;
      size.bytes -= slot.bytes;
    }
    if (slot.next !== undefined) {
      holding.oldest = slot.next;
      for (const heap of heaps) {
        heap.changed(holding);
      }
    } else {
      group.members.delete(holding.member);
      for (const heap of heaps) {
        heap.remove(holding);
      }
    }
    if (group.count === 0) {
      this.#groups.delete(name);
    }
    this.#empty(slot);
  }

  /** Takes the event out of its slot. Slots go when most are empty: to move them costs as much as they are many. */
  #empty(slot: Slot): void {
    slot.event = undefined;
    this.#size--;
    this.#bytes -= slot.bytes;
    while (this.#slots[this.#first]?.event === undefined && this.#first < this.#slots.length) {
      this.#first++;
    }
    if (this.#slots.length > 2 * this.#size + FEW) {
      this.#slots = this.#slots.filter(({ event }) => event !== undefined);
      this.#first = 0;
    }
  }

  /** Index of the first slot with an id above `after`. */
  #indexAbove(after: number): number {
    let [low, high] = [0, this.#slots.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#slots[middle]!.id > after) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}

function largestGroup(groups: ReadonlyMap<Account['group'], Group>, by: keyof Size): [Account['group'], Group] {
  let found: [Account['group'], Group] | undefined;
  for (const entry of groups) {
    if (!found || entry[1][by] > found[1][by]) {
      found = entry;
    }
  }
  return found!;
}
