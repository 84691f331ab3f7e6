/** Puts the programs of nodes together, and keeps each one until something of it differs. */
import type { handoverNodes } from './cluster.ts';
import { type CopyVlans, copyVlansOf, type Push } from './copy-vlans.ts';
import { byText, sortedBy } from './order.ts';
import { type OwnPart, type PlannedProgram, type PolicyPart, programOf } from './programs.ts';
import { isSameText, type TrackedCluster } from './tracked-cluster.ts';

/** An interface that migrates, and the nodes other than its home where it has a device. */
export interface StandbyItem {
  interface: string;
  home: string;
  handovers: ReturnType<typeof handoverNodes>;
}

/** What a placed policy adds to the own parts of nodes. */
interface Placed {
  push: Push | undefined;
  mirroring: readonly string[];
  standby: readonly StandbyItem[];
}

interface KeptNode {
  /** What `own` was made of. */
  madeOf: readonly unknown[];
  own: OwnPart;
  program: PlannedProgram;
}

const NONE: readonly never[] = [];

export class NodePrograms {
  /** Parts by node and policy. */
  readonly #parts = new Map<string, Map<string, PolicyPart>>();
  readonly #nodes = new Map<string, KeptNode>();
  /** Nodes with other parts than in their program. */
  readonly #touched = new Set<string>();
  #vlans: { madeOf: readonly unknown[]; byNode: Map<string, CopyVlans> } = { madeOf: [], byNode: new Map() };

  /** The parts of one policy are others now. Both are by node. */
  replace(before: ReadonlyMap<string, PolicyPart>, now: ReadonlyMap<string, PolicyPart>): void {
    for (const [node, part] of before) {
      if (!now.has(node)) {
        this.#parts.get(node)!.delete(part.policy);
        this.#touched.add(node);
      }
    }
    for (const [node, part] of now) {
      if (before.get(node) !== part) {
        const parts = this.#parts.get(node) ?? new Map<string, PolicyPart>();
        this.#parts.set(node, parts.set(part.policy, part));
        this.#touched.add(node);
      }
    }
  }

  /** The programs of all nodes, sorted by name. */
  programs(cluster: TrackedCluster, policies: readonly Placed[]): Map<string, PlannedProgram> {
    const standby = standbyOf(policies);
    const vlans = this.#copyVlans(cluster, policies);
    const programs = new Map<string, PlannedProgram>();
    for (const node of cluster.nodeNames) {
      const kept = this.#nodes.get(node);
      const edges = (cluster.edges.get(node) ?? NONE) as OwnPart['edges'];
      const copyVlans = vlans.get(node)!;
      const at = (standby.at.get(node) ?? NONE) as OwnPart['standby'];
      const handingOver = (standby.from.get(node) ?? NONE) as OwnPart['handingOver'];
      const madeOf = [edges, copyVlans, at, handingOver];
      if (kept && !this.#touched.has(node) && madeOf.every((one, index) => one === kept.madeOf[index])) {
        programs.set(node, kept.program);
        continue;
      }
      const own: OwnPart = { node, edges, ...copyVlans, standby: at, handingOver };
      const isKept = kept !== undefined && !this.#touched.has(node) && isSameOwn(own, kept.own);
      const now = isKept
        ? { ...kept, madeOf }
        : { madeOf, own, program: programOf(own, this.#parts.get(node)?.values() ?? []) };
      this.#nodes.set(node, now);
      programs.set(node, now.program);
    }
    this.#touched.clear();
    for (const node of [...this.#nodes.keys()].filter((name) => !programs.has(name))) {
      this.#nodes.delete(node);
    }
    return programs;
  }

  /** Made again only if a push, or a node or pool, differs. */
  #copyVlans(cluster: TrackedCluster, policies: readonly Placed[]): Map<string, CopyVlans> {
    const pushes = policies.flatMap(({ push }) => push ?? []);
    const mirroring = [...new Set(policies.flatMap((policy) => policy.mirroring))].sort(byText);
    const madeOf = [cluster.nodeNames, ...pushes, ...mirroring];
    const before = this.#vlans;
    if (before.madeOf.length !== madeOf.length || madeOf.some((one, index) => one !== before.madeOf[index])) {
      const byNode = copyVlansOf(pushes, new Set(mirroring), cluster.nodeNames, cluster);
      this.#vlans = { madeOf, byNode };
    }
    return this.#vlans.byNode;
  }
}

/**
 * By node: what it has a device of while the guest is elsewhere, and which guests are about to
 * leave it.
 */
function standbyOf(policies: readonly Placed[]) {
  const items = new Map(policies.flatMap(({ standby }) => standby.map((item) => [item.interface, item])));
  const at = new Map<string, OwnPart['standby']>();
  const from = new Map<string, string[]>();
  for (const item of sortedBy(items.values(), (one) => one.interface)) {
    for (const { node, role } of item.handovers) {
      at.set(node, [...(at.get(node) ?? []), { interface: item.interface, role }]);
    }
    if (item.handovers.some(({ role }) => role === 'target')) {
      from.set(item.home, [...(from.get(item.home) ?? []), item.interface]);
    }
  }
  return { at, from };
}

/**
 * Whether two own parts say the same. Parts that most nodes share are compared as objects first.
 */
function isSameOwn(a: OwnPart, b: OwnPart): boolean {
  return (
    isSameText(a.edges, b.edges) &&
    isSameText(a.copyVlans, b.copyVlans) &&
    isSameText(a.ownCopyVlans, b.ownCopyVlans) &&
    isSameText(a.guestCopies, b.guestCopies) &&
    isSameText(a.standby, b.standby) &&
    isSameText(a.handingOver, b.handingOver)
  );
}
