/** Which nodes say something of a thing: of a policy, or an interface. Kept for each node. */

export class NodesBy {
  readonly #nodes = new Map<string, ReadonlySet<string>>();
  readonly #by = new Map<string, Set<string>>();
  readonly #changed: (thing: string) => void;

  /** @param changed called for each thing of which other nodes say something now */
  constructor(changed: (thing: string) => void) {
    this.#changed = changed;
  }

  /** The things that a node says something of. */
  set(node: string, things: ReadonlySet<string> | readonly string[]): void {
    const before = this.#nodes.get(node);
    if (before === undefined && Array.isArray(things) && things.length === 0) {
      return;
    }
    const now: ReadonlySet<string> = things instanceof Set ? things : new Set(things);
    if (before !== undefined && before.size === now.size && now.isSubsetOf(before)) {
      return;
    }
    for (const thing of before ?? []) {
      if (!now.has(thing)) {
        this.#remove(thing, node);
      }
    }
    for (const thing of now) {
      if (!before?.has(thing)) {
        this.#by.set(thing, (this.#by.get(thing) ?? new Set()).add(node));
        this.#changed(thing);
      }
    }
    if (now.size > 0) {
      this.#nodes.set(node, now);
    } else {
      this.#nodes.delete(node);
    }
  }

  /** Sorted. Undefined: no node does. */
  nodesOf(thing: string): string[] | undefined {
    const nodes = this.#by.get(thing);
    return nodes && [...nodes].sort();
  }

  #remove(thing: string, node: string): void {
    const nodes = this.#by.get(thing);
    nodes?.delete(node);
    if (nodes?.size === 0) {
      this.#by.delete(thing);
    }
    this.#changed(thing);
  }
}
