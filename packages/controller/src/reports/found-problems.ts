/**
 * Combines the problems of a node: those of its agent, and those that the controller finds. Pure.
 */
import { type NodeProblem, remedyOf, type ShownProblem } from '@mirrorplane/contract';
import { certificateProblem } from '../auth/certificates.ts';
import type { LiveNode } from './live-node.ts';

/**
 * Milliseconds that a second agent stays a problem of its node. Such an agent tries again within
 * one minute.
 */
export const SECOND_AGENT_MS = 120_000;

/** Milliseconds that a message that could not be read stays a problem: more than twice the longest pause of its agent. */
export const BAD_MESSAGE_MS = 150_000;

/** The problems of a node. */
export interface JudgedNode {
  name: string;
  /** Problems that the agent reports. */
  reported: readonly NodeProblem[];
  /** Problems that the controller finds. */
  found: readonly NodeProblem[];
  /**
   * The agent is connected and has reported. Otherwise, problems that are not listed may still
   * exist.
   */
  known: boolean;
}

/** @param now milliseconds since 1970 */
export function judgedNode(node: LiveNode, now: number): JudgedNode {
  const certificate = node.revoked ? undefined : certificateProblem(node.name, node.certificateEndsAt, now);
  const second = node.second && now - node.second.at <= SECOND_AGENT_MS ? node.second.problem : undefined;
  const forged = node.forged.problem(now);
  const bad = node.badMessage && now - node.badMessage.at <= BAD_MESSAGE_MS ? node.badMessage.problem : undefined;
  const ofNode = [revocation(node), node.contested?.problem, second, bad, certificate, forged].filter(
    (problem) => problem !== undefined,
  );
  const known = node.connected && node.captures !== undefined;
  return { name: node.name, reported: node.problems, found: [...ofNode, ...foundProblems(node)], known };
}

function revocation({ name, revoked }: LiveNode): NodeProblem | undefined {
  const remedy = `to let it join again, create a token with "mirrorplane node token ${name}"`;
  return revoked
    ? { code: 'NODE_REVOKED', message: `the node is revoked, and nothing of it counts: ${remedy}` }
    : undefined;
}

/**
 * All problems of a node. A second agent and forged copies are problems of the node, but not of its
 * policies, because copies are made as before.
 * @param now milliseconds since 1970
 */
export function nodeProblems(node: LiveNode, now: number): NodeProblem[] {
  const { reported, found } = judgedNode(node, now);
  return [...found, ...reported];
}

/** Problems that affect the policies of a node. */
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

/** A problem as the API shows it. */
export function shownProblem({ code, message }: NodeProblem): ShownProblem {
  const remedy = remedyOf(code);
  return { code, message, ...(remedy !== undefined && { remedy }) };
}
