/**
 * Which claims of nodes to interfaces are accepted. Reports of a node on other interfaces are
 * ignored.
 */
import { type CaptureStatus, type NodeProblem, sourceOfCapture } from '@mirrorplane/contract';
import type { KeptNodes } from './kept-nodes.ts';
import { type KeptNode, MAX_FORMER, MAX_WITHDRAWN, remember } from './live-node.ts';

/** Names of the nodes that are believed to have each interface, by its id. */
export type Grants = ReadonlyMap<string, readonly string[]>;

export class Claims {
  readonly #nodes: KeptNodes;
  #judge: (() => void) | undefined;
  /** Nodes whose claim to an interface is accepted, by interface. */
  readonly #granted = new Map<string, readonly string[]>();
  /** Whether a node has said something since `grant` that may change who has an interface. */
  #unjudged = true;

  constructor(nodes: KeptNodes) {
    this.#nodes = nodes;
  }

  /**
   * Says how to find out which nodes are believed to have each interface. `judge` calls `grant` or
   * `grantOf`.
   */
  judgeBy(judge: () => void): void {
    this.#judge = judge;
  }

  /** A node has listed its devices: who has an interface may have changed. */
  changed(): void {
    this.#unjudged = true;
  }

  /**
   * Whether the claim of the node to the interface is accepted, or was, as far as that is
   * remembered. To say that it has what is another's makes it neither.
   */
  hasHad(name: string, id: string): boolean {
    const node = this.#nodes.get(name);
    if (node === undefined) {
      return false;
    }
    const known = () => node.granted.has(id) || node.former.has(id);
    // What came a moment ago is reported on before anything is planned.
    if (!known() && id in node.seen && this.#unjudged && this.#judge) {
      this.#judge();
    }
    return known();
  }

  /**
   * Whether the node claims the interface, or did, as far as that is remembered. It does not matter
   * whether the claim was accepted.
   */
  hasClaimed(name: string, id: string): boolean {
    const node = this.#nodes.get(name);
    return node !== undefined && (id in node.seen || node.withdrawn.has(id));
  }

  /**
   * The node is about to list other devices. Its claims to interfaces that it lists no longer are
   * remembered: it may have counted for them, and reports that later.
   * @param listed an object that has the ids of the interfaces that it lists now
   */
  listing(name: string, listed: Record<string, unknown>): void {
    const node = this.#nodes.get(name);
    const known = (id: string) => node?.granted.has(id) || node?.former.has(id);
    const gone = Object.keys(node?.seen ?? {}).filter((id) => !(id in listed) && !known(id));
    // An interface that has come and gone since the last judgement may have been the node's.
    if (gone.length > 0 && this.#unjudged) {
      this.#judge?.();
    }
    for (const id of gone) {
      if (node && !known(id)) {
        remember(node.withdrawn, id, MAX_WITHDRAWN);
      }
    }
  }

  /** Takes over whose claims are accepted. No claim to any other interface is. */
  grant(grants: Grants): void {
    const gone = [...this.#granted.keys()].filter((id) => !grants.has(id));
    this.grantOf(new Map([...grants, ...gone.map((id): [string, string[]] => [id, []])]));
  }

  /**
   * Takes over whose claims to these interfaces are accepted. Claims to others stay as they are.
   */
  grantOf(grants: Grants): void {
    for (const [id, nodes] of grants) {
      const before = this.#granted.get(id) ?? [];
      for (const name of before.filter((one) => !nodes.includes(one))) {
        const node = this.#nodes.get(name);
        if (node?.granted.delete(id)) {
          remember(node.former, id, MAX_FORMER);
          node.dirty = true;
        }
      }
      for (const name of nodes) {
        const node = this.#nodes.get(name);
        node?.granted.add(id);
        if (node && node.unbelieved.length > 0) {
          believe(node, id);
        }
      }
      if (nodes.length > 0) {
        this.#granted.set(id, nodes);
      } else {
        this.#granted.delete(id);
      }
    }
    this.#unjudged = false;
  }

  /**
   * These claims, refused or to what it has, are problems of each node now. Of a node that is not
   * named, none are.
   */
  contested(problems: ReadonlyMap<string, NodeProblem[]>): void {
    for (const [name, node] of this.#nodes.all) {
      node.contests = problems.get(name) ?? [];
    }
  }
}

/** The node has an interface now. What it has reported of its captures before counts. */
function believe(node: KeptNode, id: string): void {
  const isOf = ({ capture }: CaptureStatus) => sourceOfCapture(capture) === id;
  const believed = node.unbelieved.filter(isOf);
  if (believed.length > 0) {
    node.unbelieved = node.unbelieved.filter((one) => !isOf(one));
    node.captures = [...(node.captures ?? []), ...believed];
  }
}
