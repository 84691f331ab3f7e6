/**
 * Whose agent is at the other end of a connection to the agents' port: its client certificate says
 * so.
 */
import type { TLSSocket } from 'node:tls';
import type { Dismissed } from '@mirrorplane/contract';
import { type CertificateName, certificateName, standingOf } from '../auth/node-certificates.ts';
import type { Services } from '../services.ts';

/** Why an agent is refused; `reason` is a word for the metrics. */
export interface Refused {
  reason: string;
  message: string;
  status: number;
  /** The node whose certificate it is, where it has a newer one. */
  contested?: string;
}

/** The node at the other end, and its certificate. */
export interface Identity {
  node: string;
  certificate: CertificateName;
  /** End of the certificate, ISO 8601. */
  certificateEndsAt: string;
}

/**
 * Which node the certificate is for. It has to be of our authority, of the node's present
 * registration, and not older than the newest one that the node has.
 */
export function registeredNode(
  socket: TLSSocket,
  { view, authority, clock }: Pick<Services, 'view' | 'authority' | 'clock'>,
): Identity | Refused {
  const certificate = socket.getPeerCertificate();
  if (!certificate.subject) {
    return { reason: 'noCertificate', message: 'a client certificate is needed: enrol first', status: 401 };
  }
  const end = new Date(certificate.valid_to);
  const why = faultOf(socket, end.getTime() <= clock(), authority);
  if (why !== undefined) {
    return { reason: 'invalidCertificate', message: `the client certificate is not valid: ${why}`, status: 401 };
  }
  const node = String(certificate.subject.CN);
  const name = certificateName(certificate.subjectaltname ?? '');
  const record = view.get('nodes', node)?.value;
  if (!record || !name || name.uid !== record.uid) {
    return dismissed('notRegistered', `node "${node}" is not registered, or was registered again: enrol again`);
  }
  const standing = standingOf(name, view.get('certificates', node)?.value);
  if (standing === 'superseded') {
    return record.revoked
      ? dismissed('revoked', `node "${node}" is revoked: enrol again with a new join token`)
      : dismissed('superseded', `node "${node}" has enrolled again, and this certificate is of an earlier enrolment`);
  }
  if (standing === 'contested') {
    const message = `node "${node}" has a newer certificate of the same key: it was copied, or the agent was set back to an earlier state; enrol again`;
    return { reason: 'contested', message, status: 401, contested: node };
  }
  return { node, certificate: name, certificateEndsAt: end.toISOString() };
}

/**
 * What is wrong with a certificate. TLS may have judged it before the authority was dropped, and by
 * another clock. Undefined: nothing is.
 */
function faultOf(socket: TLSSocket, hasEnded: boolean, authority: Services['authority']): string | undefined {
  if (!socket.authorized) {
    return String(socket.authorizationError);
  }
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || !authority.hasSigned(certificate)) {
    return 'its authority is not trusted any more';
  }
  return hasEnded ? 'it has ended' : undefined;
}

function dismissed(reason: Dismissed, message: string): Refused {
  return { reason, message, status: 401 };
}
