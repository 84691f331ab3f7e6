/** The problems of a node: those that its agent reports, and those that the controller finds. Pure. */
import type { NodeProblem } from '@mirrorplane/contract';
import { certificateProblem } from '../auth/certificates.ts';
import type { LiveNode } from './live-node.ts';

/** Milliseconds that a second agent stays a problem of its node: it tries again within one minute. */
export const SECOND_AGENT_MS = 120_000;

/** A node with what stands in its way. */
export interface JudgedNode {
  name: string;
  /** As its agent sees it. */
  reported: readonly NodeProblem[];
  /** As the controller sees it. */
  found: readonly NodeProblem[];
  /** Its agent is there and has reported. Else a problem that is not listed may still be there. */
  known: boolean;
}

/** @param now milliseconds since 1970 */
export function judgedNode(node: LiveNode, now: number): JudgedNode {
  const certificate = certificateProblem(node.name, node.certificateEndsAt, now);
  const second = node.second && now - node.second.at <= SECOND_AGENT_MS ? node.second.problem : undefined;
  const ofNode = [second, certificate].filter((problem) => problem !== undefined);
  const known = node.connected && node.captures !== undefined;
  return { name: node.name, reported: node.problems, found: [...ofNode, ...foundProblems(node)], known };
}

/**
 * All of them. A second agent is a problem of the node, and not of its policies: copies go on as before.
 * @param now milliseconds since 1970
 */
export function nodeProblems(node: LiveNode, now: number): NodeProblem[] {
  const { reported, found } = judgedNode(node, now);
  return [...found, ...reported];
}

/** What stands in the way of the policies of a node, as its agent and the controller see it. */
export function problemsForPolicies(node: LiveNode): NodeProblem[] {
  return [...foundProblems(node), ...node.problems];
}

function foundProblems({ rejection, refusedCounters, refusedUnderlay, contests }: LiveNode): NodeProblem[] {
  return [
    ...(rejection ? [rejection] : []),
    ...(refusedCounters ? [{ code: 'COUNTERS_REFUSED', message: refusedCounters.message }] : []),
    ...(refusedUnderlay ? [refusedUnderlay.problem] : []),
    ...contests,
  ];
}
