/** What has to be known of a look before its packets say anything. */
import type { FindingWay } from '@mirrorplane/contract';

/** How well a look has seen and heard. */
export interface Circumstances {
  /** Packets that the look has lost, by node. Nodes without loss are left out. */
  lookLost: readonly { node: string; lost: number; seen: number }[];
  /** Places that were not looked at, or not all of the time: which, and why. */
  notSeen: readonly { where: string; message: string }[];
  /** Nodes that hear no drops, or have lost some of what they heard. */
  notHeard: readonly { node: string; message: string }[];
  /** Interfaces that have changed their node. */
  moved: readonly string[];
  /** There were more packets than are compared. */
  tooMany: boolean;
  /** Nodes where the interfaces are. */
  nodes: Readonly<Record<'from' | 'to', string>>;
  seconds: number;
}

/** Names of the ends of a way. */
export interface Ends {
  from: string;
  to: string;
}

/** The ends of a way, as seen along it. */
export function along(way: FindingWay, { from, to }: Ends): Ends {
  return way === 'there' ? { from, to } : { from: to, to: from };
}
