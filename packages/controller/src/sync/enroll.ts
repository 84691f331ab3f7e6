/** POST /enroll: an agent trades its join token for a certificate. */
import { EnrollRequest, type EnrollResponse, problem } from '@mirrorplane/contract';
import { RequestError } from '../auth/authority.ts';
import { redeemToken } from '../auth/join-tokens.ts';
import { ProblemError, parseOrRefuse } from '../http/problems.ts';
import type { Services } from '../services.ts';

/** The same words for every way in which a token can be wrong: a stranger learns nothing. */
const REFUSED = 'the join token is not valid for this node: it is unknown, used or expired; make a new one';

/**
 * Grants the certificate, or throws a ProblemError. The token is used up only together with a granted certificate.
 * @param address where the request came from
 */
export async function enroll(body: unknown, address: string, services: Services): Promise<EnrollResponse> {
  const { view, authority, decisions, audit, refusals, clock, log } = services;
  const request = parseOrRefuse(EnrollRequest, body, 'request');
  const { node } = request;
  const who = { actor: `node:${node}`, address, action: 'enroll', resource: `nodes/${node}` };
  try {
    const uid = redeem();
    const certificate = await authority.signAgent({ csr: request.csr, node, uid }).catch((error: unknown) => {
      if (error instanceof RequestError) {
        throw new ProblemError('BAD_REQUEST', error.message, [
          { code: 'FIELD_INVALID', field: 'csr', message: error.message },
        ]);
      }
      throw error;
    });
    // Looked at again: of two agents with the same token the second finds it used.
    const revision = await decisions.decide(() => {
      if (redeem() !== uid) {
        throw new ProblemError('UNAUTHENTICATED', REFUSED);
      }
      const op = redeemToken(view, node, request.secret, clock())!;
      const line = { time: new Date(clock()).toISOString(), ...who };
      return { ops: [op], audit: line, result: (committed) => committed };
    });
    await audit.append({ ...who, outcome: 'done', revision });
    decisions.audited(revision);
    log.info({ node, address }, 'agent enrolled');
    return { certificate, authority: authority.pem };
  } catch (error) {
    if (error instanceof ProblemError) {
      refusals.add({ request: 'enroll', reason: error.problem.code, message: error.message, address, node });
    } else {
      log.warn({ node, address, err: error }, 'agent not enrolled');
      await audit.append({ ...who, outcome: 'failed', code: 'INTERNAL' });
    }
    throw error;
  }

  /** The uid of the node, where the token is good now. */
  function redeem(): string {
    const record = view.get('nodes', node)?.value;
    if (!record || !redeemToken(view, node, request.secret, clock())) {
      throw new ProblemError('UNAUTHENTICATED', REFUSED);
    }
    return record.uid;
  }
}

/** The answer to whatever went wrong. */
export function enrollProblem(error: unknown) {
  return error instanceof ProblemError ? error.problem : problem('INTERNAL', 'the controller failed: see its log');
}
