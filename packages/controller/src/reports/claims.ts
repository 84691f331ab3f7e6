/**
 * Which claims of nodes to interfaces are accepted. Reports of a node on other interfaces are
 * ignored.
 */
import type { NodeProblem } from '@mirrorplane/contract';
import type { KeptNodes } from './kept-nodes.ts';
import { remember } from './live-node.ts';

/** Names of the nodes that are believed to have each interface, by its id. */
export type Grants = ReadonlyMap<string, readonly string[]>;

export class Claims {
  readonly #nodes: KeptNodes;
  #judge: (() => Grants) | undefined;
  /** Whether a node has said something since `grant` that may change who has an interface. */
  #unjudged = true;

  constructor(nodes: KeptNodes) {
    this.#nodes = nodes;
  }

  /** Says how it is found out which nodes are believed to have each interface. */
  judgeBy(judge: () => Grants): void {
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
      this.grant(this.#judge());
    }
    return known();
  }

  /** Takes over whose claims to each interface are accepted. */
  grant(grants: Grants): void {
    const now = new Map<string, Set<string>>([...this.#nodes.all.keys()].map((name) => [name, new Set()]));
    for (const [id, nodes] of grants) {
      for (const name of nodes) {
        now.get(name)?.add(id);
      }
    }
    for (const [name, granted] of now) {
      const node = this.#nodes.get(name)!;
      const isNews = remember(node.former, node.granted, granted);
      node.dirty ||= isNews;
      node.granted = granted;
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
