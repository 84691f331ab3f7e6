/**
 * Whose agent is at the other end of a connection to the agents' port: its client certificate says
 * so.
 */
import type { TLSSocket } from 'node:tls';
import type { Dismissed } from '@mirrorplane/contract';
import { type CertificateName, certificateName, standingOf } from '../auth/node-certificates.ts';
import type { View } from '../store/view.ts';

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
 * @param now milliseconds since 1970
 */
export function registeredNode(socket: TLSSocket, view: View, now: number): Identity | Refused {
  const certificate = socket.getPeerCertificate();
  if (!certificate.subject) {
    return { reason: 'noCertificate', message: 'a client certificate is needed: enrol first', status: 401 };
  }
  const end = new Date(certificate.valid_to);
  if (!socket.authorized || end.getTime() <= now) {
    const why = socket.authorized ? `it has ended on ${end.toISOString()}` : socket.authorizationError;
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

function dismissed(reason: Dismissed, message: string): Refused {
  return { reason, message, status: 401 };
}
