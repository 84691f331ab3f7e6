/**
 * Judges what one sender may do with the things of the cluster. Pure: what it needs to know of a
 * thing it asks for.
 */
import { type AccessObject, allows, allowsEverywhere, type Grant, type Right } from '@mirrorplane/contract';

/** Things that a right can be asked for. */
export const THINGS = ['policy', 'interface', 'node', 'pool', 'domain', 'look', 'finding'] as const;
export type Thing = (typeof THINGS)[number];

/** The interfaces of a policy. */
export interface Ends {
  sources: readonly string[];
  destination: string;
}

/** Tells of things by their names. Undefined: there is none. */
export interface Things {
  interface(id: string): AccessObject | undefined;
  /** Pool of a node. */
  poolOf(node: string): string | undefined;
  policy(name: string): Ends | undefined;
  /** Pools of a domain. */
  poolsOf(domain: string): readonly string[];
  /** Interfaces of a look. */
  look(id: string): readonly string[] | undefined;
  /** Interfaces of a finding. */
  finding(id: string): readonly string[] | undefined;
}

export class Judge {
  readonly #grants: readonly Grant[];
  readonly #things: Things;

  constructor(grants: readonly Grant[], things: Things) {
    this.#grants = grants;
    this.#things = things;
  }

  /** Whether a right is given for everything, also for what does not exist yet. */
  everywhere(right: Right): boolean {
    return allowsEverywhere(this.#grants, right);
  }

  /** Whether a right is given for anything at all. */
  somewhere(right: Right): boolean {
    return allows(this.#grants, right);
  }

  /**
   * Whether a right is given for a thing. In a scope it is not given for a thing that does not
   * exist, so that nobody learns what exists outside of the scope.
   */
  may(right: Right, thing: Thing, name: string): boolean {
    if (this.everywhere(right)) {
      return true;
    }
    switch (thing) {
      case 'interface':
        return this.on(right, this.#things.interface(name));
      case 'node':
        return this.on(right, poolObject(this.#things.poolOf(name)));
      case 'pool':
        return this.on(right, { pool: name });
      case 'domain':
        return right === 'read' && this.#things.poolsOf(name).some((pool) => this.on(right, { pool }));
      case 'policy':
        return this.#mayPolicy(right, this.#things.policy(name));
      default:
        return this.#all(right, this.#things[thing](name));
    }
  }

  /** Whether there is such a thing. A pool or domain counts always: its name is its scope. */
  exists(thing: Thing, name: string): boolean {
    switch (thing) {
      case 'node':
        return this.#things.poolOf(name) !== undefined;
      case 'pool':
      case 'domain':
        return true;
      default:
        return this.#things[thing](name) !== undefined;
    }
  }

  /** Whether a right is given for an object. Undefined: it does not exist. */
  on(right: Right, object: AccessObject | undefined): boolean {
    return this.everywhere(right) || (object !== undefined && allows(this.#grants, right, object));
  }

  /**
   * Whether one may read a policy whole: its destination is in the scope, or all its sources are.
   */
  seesWhole(ends: Ends): boolean {
    return this.reaches('read', ends);
  }

  /**
   * Whether the destination of a policy is in the scope of a right, or all its sources are: who
   * receives the copies, or is mirrored alone.
   */
  reaches(right: Right, { sources, destination }: Ends): boolean {
    return this.may(right, 'interface', destination) || this.#all(right, sources);
  }

  /** Sources and the destination of a policy for which a right is missing. */
  lacking(right: 'mirror' | 'send', { sources, destination }: Ends): string[] {
    return (right === 'mirror' ? sources : [destination]).filter((id) => !this.may(right, 'interface', id));
  }

  #mayPolicy(right: Right, ends: Ends | undefined): boolean {
    if (ends === undefined) {
      return false;
    }
    switch (right) {
      case 'read':
      case 'policy':
        return this.reaches(right, ends);
      case 'send':
        return this.may(right, 'interface', ends.destination);
      default:
        return this.#all(right, ends.sources);
    }
  }

  #all(right: Right, ids: readonly string[] | undefined): boolean {
    return ids !== undefined && ids.length > 0 && ids.every((id) => this.may(right, 'interface', id));
  }
}

function poolObject(pool: string | undefined): AccessObject | undefined {
  return pool === undefined ? undefined : { pool };
}
