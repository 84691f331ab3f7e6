/** The result of planning. */
import type { StatusReason } from '@mirrorplane/contract';
import type { PathPlan, PlannedProgram } from './programs.ts';
import type { Sessions } from './sessions.ts';

/** One source of a policy: the nodes where it has a device now and is to be captured, sorted. */
export interface SourcePlan {
  interface: string;
  nodes: string[];
}

/**
 * The result of planning for one policy. The status is computed from it and from the agents'
 * reports.
 */
export interface PolicyPlan {
  uid: string;
  /** The node of the destination; undefined while the destination is nowhere. */
  destinationNode?: string;
  /** Reasons that follow from the inventory alone. Empty for a disabled policy. */
  reasons: StatusReason[];
  /** One for every source, in the order of the policy. */
  sources: SourcePlan[];
  /** Sorted by `from`. Also from nodes where a source may appear. */
  paths: PathPlan[];
}

/** The desired state of the whole cluster. Both maps are sorted by key. */
export interface Plan {
  /** Node name to program, for every node of the inventory. */
  programs: Map<string, PlannedProgram>;
  /** To be stored, and given to the next call. */
  sessions: Sessions;
  /** Policy uid to the result of planning. */
  policies: Map<string, PolicyPlan>;
}
