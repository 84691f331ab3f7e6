/**
 * Whose agent is at the other end of a connection to the agents' port: its client certificate says
 * so.
 */
import type { TLSSocket } from 'node:tls';
import { NOT_REGISTERED } from '@mirrorplane/contract';
import { NODE_URN } from '../auth/authority.ts';
import type { View } from '../store/view.ts';

/** Why an agent is refused; `reason` is a word for the metrics. */
export interface Refused {
  reason: string;
  message: string;
  status: number;
}

/**
 * Which node the certificate is for. It has to be of our authority, and of the node's present
 * registration.
 */
export function registeredNode(socket: TLSSocket, view: View): { node: string } | Refused {
  const certificate = socket.getPeerCertificate();
  if (!certificate.subject) {
    return { reason: 'noCertificate', message: 'a client certificate is needed: enrol first', status: 401 };
  }
  if (!socket.authorized) {
    const message = `the client certificate is not valid: ${socket.authorizationError}`;
    return { reason: 'invalidCertificate', message, status: 401 };
  }
  const node = String(certificate.subject.CN);
  const record = view.get('nodes', node)?.value;
  const names = (certificate.subjectaltname ?? '').split(', ');
  if (!record || !names.includes(`URI:${NODE_URN}${record.uid}`)) {
    const message = `node "${node}" is not registered, or was registered again: enrol again`;
    return { reason: NOT_REGISTERED, message, status: 401 };
  }
  return { node };
}

/** When the certificate of the other end ends, ISO 8601. */
export function certificateEnd(socket: TLSSocket): string {
  return new Date(socket.getPeerCertificate().valid_to).toISOString();
}
