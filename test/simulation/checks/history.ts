/** What the store has said of policies and session numbers, also of those that are gone. */
import type { StoreEvent } from '@mirrorplane/controller/testing/control';
import type { World } from '../world/world.ts';
import { Violation } from './violation.ts';

interface StoredPolicy {
  uid: string;
  sources: string[];
  destination: string;
}

interface Numbers {
  policies: Record<string, { session: number; generation: number; secret?: number; end: string }>;
}

/** What a number of a receiver means. */
export interface Meaning {
  uid: string;
  end: string;
  secret: number | undefined;
}

export class History {
  /** By uid: interfaces that were ever the destination. */
  readonly destinations = new Map<string, Set<string>>();
  /** By uid: interfaces that were ever a source. */
  readonly sources = new Map<string, Set<string>>();
  /** By `node/device`: edges that were ever declared there. */
  readonly edges = new Map<string, Set<string>>();
  readonly #meanings = new Map<string, Meaning>();
  readonly #revisions = new Map<string, number>();
  /** By key of each policy that is there: its sources. */
  readonly #takenBy = new Map<string, ReadonlySet<string>>();
  violation: Violation | undefined;

  /** @param world its store is followed from now on */
  async follow(world: World): Promise<void> {
    await world.follow((events) => {
      try {
        for (const event of events) {
          this.#take(event);
        }
      } catch (error) {
        this.violation ??= error as Violation;
      }
    });
  }

  /** What a number means to its receiver, now and for ever. */
  meaning(node: string, session: number, generation: number): Meaning | undefined {
    return this.#meanings.get(`${node} ${session}.${generation}`);
  }

  #take(event: StoreEvent): void {
    const key = event.type === 'put' ? event.entry.key : event.key;
    if (event.type === 'delete') {
      if (key.startsWith('programs/')) {
        this.#revisions.delete(key);
      }
      this.#takenBy.delete(key);
      return;
    }
    const { value } = event.entry;
    if (key.startsWith('policies/')) {
      const { uid, sources, destination } = value as StoredPolicy;
      add(this.destinations, uid, destination);
      for (const source of sources) {
        add(this.sources, uid, source);
      }
      this.#takes(key, sources);
    } else if (key.startsWith('interfaces/')) {
      const { id, edge } = value as { id: string; edge?: { node: string; device: string } };
      if (edge) {
        add(this.edges, `${edge.node}/${edge.device}`, id);
      }
    } else if (key.startsWith('programs/')) {
      this.#revision(key, (value as { revision: number }).revision);
    } else if (key === 'sessions') {
      for (const [node, numbers] of Object.entries(value as Record<string, Numbers>)) {
        this.#number(node, numbers);
      }
    }
  }

  /** An interface is a source of at most one policy, whoever writes, and on what it has read. */
  #takes(key: string, sources: readonly string[]): void {
    this.#takenBy.set(key, new Set(sources));
    for (const [other, taken] of this.#takenBy) {
      const both = other === key ? undefined : sources.find((source) => taken.has(source));
      if (both !== undefined) {
        throw new Violation(`${both} is a source of ${key} and of ${other}`);
      }
    }
  }

  #revision(key: string, revision: number): void {
    const before = this.#revisions.get(key) ?? 0;
    if (revision <= before) {
      throw new Violation(`${key}: revision ${revision} comes after ${before}`);
    }
    this.#revisions.set(key, revision);
  }

  #number(node: string, { policies }: Numbers): void {
    const used = new Set<number>();
    for (const [uid, { session, generation, end, secret }] of Object.entries(policies)) {
      if (used.has(session)) {
        throw new Violation(`${node} has session ${session} for two policies`);
      }
      used.add(session);
      const key = `${node} ${session}.${generation}`;
      const before = this.#meanings.get(key);
      if (before && (before.uid !== uid || before.end !== end || before.secret !== secret)) {
        const was = `policy ${before.uid} to ${before.end}, secret ${before.secret}`;
        throw new Violation(`number ${key} meant ${was}, and now policy ${uid} to ${end}, secret ${secret}`);
      }
      this.#meanings.set(key, { uid, end, secret });
    }
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key) ?? new Set();
  set.add(value);
  map.set(key, set);
}
