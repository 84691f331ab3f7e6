/** The node programs that planning fills, and the paths between them. */
import { emptyProgram, type NodeProgram } from '@mirrorplane/contract';
import type { Cluster } from './cluster.ts';

/** A node program, before the controller numbers it. */
export type PlannedProgram = Omit<NodeProgram, 'revision'>;

/** What the controller knows about the program in a node's kernel. */
export interface InForce {
  /** The program that the node has confirmed. Undefined: its content is unknown. */
  confirmed?: PlannedProgram;
  /** The program that the node was sent last. Undefined: unknown. */
  last?: PlannedProgram;
  /** All programs that the node may run: the confirmed one, and all that it was sent since. */
  possible: readonly PlannedProgram[];
  connected: boolean;
}

/**
 * A pair of nodes with ERSPAN between them: `delivery` in the program of `from`, `termination` in
 * that of `to`.
 */
export interface PathPlan {
  from: string;
  to: string;
  delivery: string;
  termination: string;
}

/**
 * A program for every node, in the order of the cluster. It binds the edges of the node, and has no
 * captures yet.
 */
export function emptyPrograms(cluster: Cluster): Map<string, PlannedProgram> {
  const programs = new Map<string, PlannedProgram>();
  for (const node of cluster.nodes.keys()) {
    const { revision: _, ...program } = emptyProgram(node, 0);
    programs.set(node, program);
  }
  for (const { id, edge } of cluster.interfaces.values()) {
    if (edge) {
      const { node, device, mac } = edge;
      const binding = { interface: id, ...(device !== undefined && { device }), ...(mac !== undefined && { mac }) };
      programs.get(node)?.edges.push(binding);
    }
  }
  return programs;
}
