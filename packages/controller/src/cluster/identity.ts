/** Whether the other end of a connection to the agents' port is a controller of this cluster. */
import type { TLSSocket } from 'node:tls';
import { type Authority, CONTROLLER_URN } from '../auth/authority.ts';

/** @returns why it is not. Undefined: it is one */
export function controllerFault(
  socket: TLSSocket,
  { authority, clock }: { authority: Authority; clock: () => number },
): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) {
    return 'only controllers of this cluster are served here, and no certificate was shown';
  }
  if (!socket.authorized || !authority.hasSigned(certificate)) {
    return `the certificate is not one of this cluster: ${socket.authorizationError ?? 'of another authority'}`;
  }
  const names = (certificate.subjectAltName ?? '').split(', ');
  if (!names.includes(`URI:${CONTROLLER_URN}`)) {
    return 'only controllers of this cluster are served here, and the certificate is not one of a controller';
  }
  return Date.parse(certificate.validTo) <= clock() ? 'the certificate has ended' : undefined;
}
