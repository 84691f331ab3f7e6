/** POST /enroll: an agent gets a certificate for its join token. */
import { randomUUID } from 'node:crypto';
import { EnrollRequest, type EnrollResponse, problem } from '@mirrorplane/contract';
import { nodeActor } from '../audit/actors.ts';
import { keyDigest, RequestError } from '../auth/agent-request.ts';
import type { AgentRequest } from '../auth/authority.ts';
import { digestOf, idOf, redeemToken } from '../auth/join-tokens.ts';
import { cutOff, enrolled, isRepeated } from '../auth/node-certificates.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { CertificateRecord, EnrolmentRecord, NodeRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf } from '../store/view.ts';

/** One message for all invalid tokens, so that a stranger learns nothing. */
const REFUSED = 'the join token is not valid for this node: it is unknown, used or expired; create a new token';

/** What an enrolment writes. */
interface Admission {
  node: NodeRecord;
  certificate: CertificateRecord;
  /** The node had a certificate before, which is refused from now on. */
  isAgain: boolean;
  /** Id of the token that lets it in. */
  joinToken: string;
  ops: Operation[];
}

/**
 * Issues a certificate, or throws a ProblemError. The token is used only together with the
 * certificate. Certificates of an earlier enrolment of the node are refused from then on.
 * @param address of the sender
 */
export async function enroll(body: unknown, address: string, services: Services): Promise<EnrollResponse> {
  const { authority, decisions, audit, refusals, clock, log } = services;
  const request = parseOrRefuse(EnrollRequest, body, 'request');
  const { node, csr } = request;
  const who = { ...nodeActor(node, address), action: 'enroll' as const, resource: `nodes/${node}` };
  audit.requireWritable();
  const newUid = randomUUID();
  const enrolment = { token: digestOf(request.secret), key: keyDigest(csr) ?? '', at: services.endClock() };
  const admission = () => admit(services, request, newUid, enrolment);
  try {
    const signed = admission();
    const { generation } = signed.certificate;
    const certificate = await sign(services, { csr, node, uid: signed.node.uid, generation, number: 0 });
    // All is checked again: of two agents with the same token, the second is refused.
    const { revision, isAgain, by } = await decisions.decide(() => {
      const { ops, ...now } = admission();
      if (now.node.uid !== signed.node.uid || now.certificate.generation !== generation) {
        throw new ProblemError('UNAVAILABLE', `node "${node}" enrols somewhere else at this moment: try again`);
      }
      const by = { ...who, detail: `by the join token ${now.joinToken}` };
      const line = { time: new Date(clock()).toISOString(), ...by };
      return { ops, audit: line, result: (committed) => ({ revision: committed, isAgain: now.isAgain, by }) };
    });
    services.enrolled(node);
    await audit.append({ ...by, outcome: 'done', revision });
    decisions.audited(revision);
    await tell(services, node, address, isAgain);
    log.info({ node, address }, 'agent enrolled');
    return { certificate, authority: authority.trustedPem };
  } catch (error) {
    if (error instanceof ProblemError) {
      const certificate = await repeated(services, request, enrolment);
      if (certificate !== undefined) {
        const detail = `by the join token ${idOf(enrolment.token)}, once more with the same key`;
        await audit.append({ ...who, detail, outcome: 'done' });
        log.info({ node, address }, 'agent enrolled once more with the same key');
        return { certificate, authority: authority.trustedPem };
      }
      refusals.add({ request: 'enroll', reason: error.problem.code, message: error.message, address, node });
    } else {
      log.warn({ node, address, err: error }, 'agent not enrolled');
      await audit.append({ ...who, outcome: 'failed', code: 'INTERNAL' });
    }
    throw error;
  }
}

/**
 * The certificate once more, for an agent that has not got the answer to its enrolment. Its token may be
 * used up by that. Nothing is written. Undefined: this is no repetition.
 */
async function repeated(
  services: Services,
  { node, csr }: EnrollRequest,
  enrolment: EnrolmentRecord,
): Promise<string | undefined> {
  const { view, authority } = services;
  const find = () => {
    const [record, stored] = [view.get('certificates', node)?.value, view.get('nodes', node)?.value];
    const isMember = stored !== undefined && stored.revoked === undefined;
    return isMember && isRepeated(record, enrolment, authority.fingerprint) ? { record, uid: stored.uid } : undefined;
  };
  const found = find();
  if (found === undefined) {
    return undefined;
  }
  const { generation } = found.record;
  const certificate = await sign(services, { csr, node, uid: found.uid, generation, number: 0 });
  const now = find();
  return now?.uid === found.uid && now.record.generation === generation ? certificate : undefined;
}

/**
 * Checks the token, and says what is to be written.
 * @param newUid of the node, if the token registers it
 */
function admit(
  services: Services,
  { node, secret }: EnrollRequest,
  newUid: string,
  enrolment: EnrolmentRecord,
): Admission {
  const { view, authority, endClock } = services;
  const token = redeemToken(services, node, secret, endClock());
  const stored = view.get('nodes', node)?.value;
  const before = view.get('certificates', node)?.value;
  const isTrusted = authority.trusted.some(
    ({ fingerprint }) => fingerprint === (token?.record.fingerprint ?? fingerprint),
  );
  if (!token || !isTrusted || (token.record.node !== undefined && !stored)) {
    throw new ProblemError('UNAUTHENTICATED', REFUSED);
  }
  const { pool } = token.record;
  const isAgain = before !== undefined || services.live.get(node)?.certificateEndsAt !== undefined;
  if (pool !== undefined) {
    refuseOfPool(services, node, pool, isAgain);
  }
  const { revoked: _, ...record } = stored ?? { name: node, pool: pool!, uid: newUid };
  const certificate = enrolled(before, authority.fingerprint, pool === undefined ? undefined : token.id, enrolment);
  const isNews = stored === undefined || stored.revoked !== undefined;
  const ops: Operation[] = [
    token.op,
    { type: 'put', key: keyOf('certificates', node), value: certificate },
    ...(isAgain ? [cutOff(view)] : []),
    ...(isNews ? [{ type: 'put' as const, key: keyOf('nodes', node), value: record }] : []),
  ];
  return { node: record, certificate, isAgain, joinToken: token.id, ops };
}

/** The token of a pool makes new nodes. It must not take the place of one that has joined. */
function refuseOfPool({ view }: Services, node: string, pool: string, isAgain: boolean): void {
  const stored = view.get('nodes', node)?.value;
  const refuse = (why: string) => {
    const remedy = `use another name, or a token of "mirrorplane node token ${node}"`;
    throw new ProblemError(
      'UNAUTHENTICATED',
      `the join token of pool "${pool}" does not admit "${node}": ${why}: ${remedy}`,
    );
  };
  if (!view.get('pools', pool)) {
    throw new ProblemError('UNAUTHENTICATED', `the pool "${pool}" of the join token is deleted: create a new token`);
  }
  if (stored && stored.pool !== pool) {
    refuse('a node of this name is in another pool');
  }
  if (isAgain) {
    refuse('a node of this name has joined before');
  }
}

/** A first enrolment is told by the connection that follows. */
async function tell({ events }: Services, node: string, address: string, isAgain: boolean): Promise<void> {
  if (isAgain) {
    const message = `enrolled again from ${address}: the certificate of the earlier enrolment is refused from now on`;
    const object = { kind: 'node', name: node } as const;
    await events.note({ kind: 'nodeEnrolledAgain', object, message, cause: { kind: 'agent', name: node } });
  }
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
