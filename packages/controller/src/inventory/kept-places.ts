/**
 * Where interfaces are, kept from one moment to the next. Only nodes that have said something else,
 * and interfaces that they have or had, are looked at again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Device } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { InterfaceRecord } from '../store/records.ts';
import { identified, type Records, sightingOf } from './inventory.ts';
import { type Place, placeOf, type Sighting, sourceOf } from './places.ts';

/** What is known of a node, and what follows from it. */
interface KeptNode {
  /** What the sightings were made of. */
  madeOf: readonly unknown[];
  /** By interface. */
  sightings: Map<string, Sighting>;
}

export class KeptPlaces {
  readonly #nodes = new Map<string, KeptNode>();
  /** By interface: one of each node that has it. Nearly all have one. */
  readonly #sightings = new Map<string, readonly Sighting[]>();
  readonly #places = new Map<string, Place>();
  /** By node: a list of it alone, which all its interfaces share. */
  readonly #alone = new Map<string, readonly string[]>();
  /** Interfaces whose place depends on the time, and from when on it may be another one. */
  readonly #due = new Map<string, number>();
  /** Declared edges by node. */
  readonly #edges = new Map<string, Map<string, InterfaceRecord>>();
  /** The last record of each declared edge. */
  readonly #edgeRecords = new Map<string, InterfaceRecord>();
  #edgesChanged = false;
  /** Nodes that are away, and stop to be present by time alone. */
  readonly #passing = new Set<string>();

  /** What agents say of an interface. */
  sightings(id: string): readonly Sighting[] {
    return this.#sightings.get(id) ?? NONE;
  }

  /** Undefined: no node has it. */
  place(id: string): Place | undefined {
    return this.#places.get(id);
  }

  /** Where an interface would be if the pools of nodes were in these domains. @param domainOf by name of a node */
  placeWith(
    id: string,
    record: InterfaceRecord | undefined,
    domainOf: (node: string) => string | undefined,
    now: number,
  ): Place | undefined {
    const all = this.sightings(id).map((one) => ({ ...one, domain: domainOf(one.node) }));
    return all.length === 0 ? undefined : judged(id, all, record, now);
  }

  /** When the next place may be another one without a report, milliseconds since 1970. */
  get due(): number | undefined {
    const next = this.#due.values().reduce((least, due) => Math.min(least, due), Number.POSITIVE_INFINITY);
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  /**
   * Takes over what agents and operators say now.
   * @param changed ids of interfaces whose records differ from those of the last call
   * @param nodes names of the nodes that have said something since, that were registered or removed, or
   * that have another pool or domain. Undefined: any may be one
   * @returns the ids of all interfaces that may be elsewhere, or have another record
   */
  update(records: Records, live: LiveNodes, changed: Iterable<string>, nodes?: Iterable<string>): Set<string> {
    const concerned = new Set(changed);
    for (const id of concerned) {
      this.#takeRecord(id, records.interfaces.get(id)?.value);
    }
    const isAny = this.#edgesChanged || nodes === undefined;
    for (const name of new Set(
      isAny ? [...records.nodes.keys(), ...this.#nodes.keys()] : [...nodes, ...this.#passing],
    )) {
      if (records.nodes.has(name)) {
        this.#takeNode(name, records, live, concerned);
      } else if (this.#nodes.has(name)) {
        this.#forgetNode(name, concerned);
      }
    }
    this.#edgesChanged = false;
    const now = live.now();
    for (const [id, due] of this.#due) {
      if (due <= now) {
        concerned.add(id);
      }
    }
    for (const id of concerned) {
      this.#judge(id, records, now);
    }
    return concerned;
  }

  #takeRecord(id: string, record: InterfaceRecord | undefined): void {
    const before = this.#edgeRecords.get(id);
    if (before === undefined && record?.edge === undefined) {
      return;
    }
    // An edge hides what nodes say of a guest with its id.
    this.#edgesChanged = true;
    this.#edges.get(before?.edge?.node ?? '')?.delete(id);
    this.#edgeRecords.delete(id);
    if (record?.edge) {
      const { node } = record.edge;
      this.#edges.set(node, (this.#edges.get(node) ?? new Map()).set(id, record));
      this.#edgeRecords.set(id, record);
    }
  }

  #forgetNode(name: string, concerned: Set<string>): void {
    for (const id of this.#edges.get(name)?.keys() ?? []) {
      concerned.add(id);
    }
    this.#replace(name, new Map(), concerned);
    this.#nodes.delete(name);
    this.#alone.delete(name);
    this.#passing.delete(name);
  }

  #takeNode(name: string, records: Records, live: LiveNodes, concerned: Set<string>): void {
    const node = live.get(name);
    const pool = records.nodes.get(name)?.value.pool;
    const domain = pool === undefined ? undefined : records.pools.get(pool)?.value.domain;
    const isHeard = node !== undefined && !node.revoked;
    const present = live.present(name);
    if (present && node?.connected === false) {
      this.#passing.add(name);
    } else {
      this.#passing.delete(name);
    }
    const said = isHeard ? [node.devices, node.seen, node.claimed, node.running, present] : [];
    const madeOf = [pool, domain, ...said];
    const before = this.#nodes.get(name);
    if (!this.#edgesChanged && before && isSameList(before.madeOf, madeOf)) {
      return;
    }
    const edges = this.#edges.get(name) ?? new Map<string, InterfaceRecord>();
    const found = isHeard ? identified(node, [...edges.values()], records) : new Map<string, Device>();
    const sightings = new Map(
      [...found].map(([id, source]): [string, Sighting] => [
        id,
        sightingOf(id, source, { node: node!, domain, present }),
      ]),
    );
    if (before?.madeOf[0] !== pool) {
      // The pool of an interface follows from its node.
      for (const id of [...edges.keys(), ...(before?.sightings.keys() ?? [])]) {
        concerned.add(id);
      }
    }
    this.#replace(name, sightings, concerned);
    this.#nodes.set(name, { madeOf, sightings });
  }

  #replace(node: string, sightings: Map<string, Sighting>, concerned: Set<string>): void {
    const before = this.#nodes.get(node)?.sightings ?? new Map<string, Sighting>();
    for (const id of before.keys()) {
      if (!sightings.has(id)) {
        this.#sightings.set(
          id,
          this.sightings(id).filter((one) => one.node !== node),
        );
        concerned.add(id);
      }
    }
    for (const [id, sighting] of sightings) {
      if (!isDeepStrictEqual(before.get(id), sighting)) {
        this.#sightings.set(id, withSighting(this.sightings(id), sighting));
        concerned.add(id);
      }
    }
  }

  #judge(id: string, { interfaces }: Records, now: number): void {
    const all = this.sightings(id);
    if (all.length === 0) {
      this.#sightings.delete(id);
      this.#places.delete(id);
      this.#due.delete(id);
      return;
    }
    const place = judged(id, all, interfaces.get(id)?.value, now);
    if (place.granted.length === 1) {
      place.granted = this.#listOf(place.granted[0]!);
    }
    this.#places.set(id, place);
    if (place.due === undefined) {
      this.#due.delete(id);
    } else {
      this.#due.set(id, place.due);
    }
  }

  #listOf(node: string): readonly string[] {
    const list = this.#alone.get(node) ?? [node];
    this.#alone.set(node, list);
    return list;
  }
}

const NONE: readonly never[] = [];

function judged(id: string, all: readonly Sighting[], record: InterfaceRecord | undefined, now: number): Place {
  const boundTo = record?.boundTo;
  const told = record?.declared ? undefined : (sourceOf(all, boundTo)?.identity ?? all[0]?.source.identity);
  const kind = told !== undefined && told.provider !== 'declared' ? told.kind : record?.kind;
  return placeOf({ id, kind: kind ?? 'vm', boundTo }, all, now);
}

/** The list with another sighting of its node, or with one more. */
function withSighting(all: readonly Sighting[], sighting: Sighting): readonly Sighting[] {
  if (all.length === 0) {
    return [sighting];
  }
  const isThere = all.some(({ node }) => node === sighting.node);
  return isThere ? all.map((one) => (one.node === sighting.node ? sighting : one)) : [...all, sighting];
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
