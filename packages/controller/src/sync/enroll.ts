/**
 * POST /enroll and POST /renew: an agent gets a certificate for its join token, or for its current
 * certificate.
 */
import { X509Certificate } from 'node:crypto';
import { EnrollRequest, type EnrollResponse, problem, RenewRequest } from '@mirrorplane/contract';
import { RequestError } from '../auth/agent-request.ts';
import type { AgentRequest } from '../auth/authority.ts';
import { redeemToken } from '../auth/join-tokens.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';

const FIRST = { generation: 1, number: 0 };
/** One message for all invalid tokens, so that a stranger learns nothing. */
const REFUSED = 'the join token is not valid for this node: it is unknown, used or expired; create a new token';

/**
 * Issues a certificate, or throws a ProblemError. The token is used up only together with the
 * certificate.
 * @param address of the sender
 */
export async function enroll(body: unknown, address: string, services: Services): Promise<EnrollResponse> {
  const { view, authority, decisions, audit, refusals, clock, log } = services;
  const request = parseOrRefuse(EnrollRequest, body, 'request');
  const { node } = request;
  const who = { actor: `node:${node}`, address, action: 'enroll' as const, resource: `nodes/${node}` };
  try {
    const uid = redeem();
    const certificate = await sign(services, { csr: request.csr, node, uid, ...FIRST });
    // The token is checked again: of two agents with the same token, the second is refused.
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

  /** Checks the token, and returns the uid of the node. */
  function redeem(): string {
    const record = view.get('nodes', node)?.value;
    if (!record || !redeemToken(view, node, request.secret, clock())) {
      throw new ProblemError('UNAUTHENTICATED', REFUSED);
    }
    return record.uid;
  }
}

/**
 * Issues a certificate to an agent with a valid certificate, or throws a ProblemError.
 * @param address of the sender
 */
export async function renew(
  body: unknown,
  { node, address }: { node: string; address: string },
  services: Services,
): Promise<EnrollResponse> {
  const { view, live, authority, audit, log } = services;
  const { csr } = parseOrRefuse(RenewRequest, body, 'request');
  const uid = view.get('nodes', node)?.value.uid;
  if (uid === undefined) {
    throw new ProblemError('UNAUTHENTICATED', `node "${node}" is not registered`);
  }
  const certificate = await sign(services, { csr, node, uid, ...FIRST });
  await audit.append({ actor: `node:${node}`, address, action: 'renew', resource: `nodes/${node}`, outcome: 'done' });
  live.certificate(node, endOf(certificate));
  log.info({ node, address }, 'certificate of an agent renewed');
  return { certificate, authority: authority.pem };
}

/** End of a certificate, ISO 8601. @param certificate PEM */
function endOf(certificate: string): string {
  return new Date(new X509Certificate(certificate).validTo).toISOString();
}

async function sign({ authority }: Services, request: AgentRequest): Promise<string> {
  try {
    return await authority.signAgent(request);
  } catch (error) {
    if (error instanceof RequestError) {
      const { message } = error;
      throw new ProblemError('BAD_REQUEST', message, [{ code: 'FIELD_INVALID', field: 'csr', message }]);
    }
    throw error;
  }
}

/** The problem document for an error. */
export function enrollProblem(error: unknown) {
  return error instanceof ProblemError ? error.problem : problem('INTERNAL', 'the controller failed: see its log');
}
