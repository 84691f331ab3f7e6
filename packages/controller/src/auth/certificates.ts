/** Problems of certificates that end. Pure. */
import type { NodeProblem } from '@mirrorplane/contract';

const DAY_MS = 24 * 60 * 60 * 1000;
/**
 * An agent renews its certificate when a third of its 30 days is left. If it has not done so this
 * long before the end, an operator must act.
 */
export const AGENT_WARNING_MS = 5 * DAY_MS;
/** Nodes that are away must come back before the old authority is dropped. This takes time. */
export const AUTHORITY_WARNING_MS = 180 * DAY_MS;

/**
 * The problem of an agent's certificate. Undefined: none.
 * @param end ISO 8601; undefined: unknown
 * @param now milliseconds since 1970
 */
export function certificateProblem(node: string, end: string | undefined, now: number): NodeProblem | undefined {
  if (end === undefined) {
    return undefined;
  }
  const left = Date.parse(end) - now;
  const remedy = `create a token with "mirrorplane node token ${node}", and start the agent with --token-file`;
  if (left <= 0) {
    return { code: 'CERTIFICATE_ENDED', message: `the certificate of the agent has ended on ${end}: ${remedy}` };
  }
  if (left > AGENT_WARNING_MS) {
    return undefined;
  }
  const message = `the certificate of the agent ends on ${end}, and the agent has not renewed it: check its log, or ${remedy}`;
  return { code: 'CERTIFICATE_ENDING', message };
}

/**
 * The problem of the authority's certificate. Undefined: none. Times are milliseconds since 1970.
 */
export function authorityProblem(end: number, now: number): NodeProblem | undefined {
  if (end - now > AUTHORITY_WARNING_MS) {
    return undefined;
  }
  const [code, ends] = end > now ? ['CERTIFICATE_ENDING', 'ends'] : ['CERTIFICATE_ENDED', 'has ended'];
  const again = end > now ? '' : ', and let each node join again with a new token';
  const remedy = `run "mirrorplane authority rotate"${again}`;
  return { code, message: `the certificate of the authority ${ends} on ${new Date(end).toISOString()}: ${remedy}` };
}
