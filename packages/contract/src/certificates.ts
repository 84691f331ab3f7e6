/** How an agent gets its certificate, and another one before it ends. */
import * as z from 'zod';
import { Word } from './bounds.ts';
import { Name } from './names.ts';

/** The name in the certificate of every controller, whatever its host is called. */
export const CONTROLLER_NAME = 'controller';

/**
 * The name by which a joining agent asks for the controller's certificate of this authority, as SNI
 * (RFC 6066, section 3): while the authority is rotated there are two, and a join token names one.
 * @param fingerprint SHA-256 of the authority's certificate, hex
 */
export function serverNameOf(fingerprint: string): string {
  return `${fingerprint.slice(0, 32)}.${CONTROLLER_NAME}`;
}

const Csr = z.string().max(4096).meta({ description: 'PKCS #10 request in PEM, subject CN = node.' });

/**
 * An agent's request for its certificate: POST /enroll on the agents' port, TLS without a client
 * certificate.
 */
export const EnrollRequest = z.object({
  node: Name,
  secret: z.string().max(256).meta({ description: 'The secret part of the join token.' }),
  csr: Csr,
});
export type EnrollRequest = z.infer<typeof EnrollRequest>;

/**
 * The certificate of the agent, and those of all authorities that it shall trust, in PEM. There are
 * two while the authority is rotated.
 */
export const EnrollResponse = z.object({ certificate: z.string(), authority: z.string() });
export type EnrollResponse = z.infer<typeof EnrollResponse>;

/** An agent asks for a new certificate, over its session. */
export const RenewMessage = z.object({ type: z.literal('renew'), csr: Csr });
export type RenewMessage = z.infer<typeof RenewMessage>;

/** The answer to `renew`. The agent stores both, and says so. */
export const CertificateMessage = z.object({ type: z.literal('certificate'), ...EnrollResponse.shape });
export type CertificateMessage = z.infer<typeof CertificateMessage>;

/**
 * The agent has stored its new certificate. From now on the controller refuses the one before: who
 * shows it has a copy of the key.
 */
export const CertificateStoredMessage = z.object({
  type: z.literal('certificateStored'),
  fingerprint: Word.meta({ description: 'SHA-256 of the certificate (DER), hex.' }),
});
export type CertificateStoredMessage = z.infer<typeof CertificateStoredMessage>;

/** The authorities that the agent shall trust from now on, and no others, in PEM. */
export const AuthorityMessage = z.object({
  type: z.literal('authority'),
  authority: z.string(),
  renew: z.boolean().meta({ description: 'The agent shall ask for a new certificate now.' }),
});
export type AuthorityMessage = z.infer<typeof AuthorityMessage>;

/**
 * A join token: `mp1.SECRET.FINGERPRINT`. The fingerprint is the SHA-256 of the authority's
 * certificate (DER) in hexadecimal.
 */
export interface JoinToken {
  secret: string;
  fingerprint: string;
}

/** Writes a join token as text. */
export function formatJoinToken(token: JoinToken): string {
  return `mp1.${token.secret}.${token.fingerprint}`;
}

/** Reads a join token. @throws Error where the text is not one. */
export function parseJoinToken(text: string): JoinToken {
  const match = /^mp1\.([A-Za-z0-9_-]{16,128})\.([0-9a-f]{64})$/.exec(text.trim());
  if (!match) {
    throw new Error(
      'this is not a join token: join tokens have the form mp1.SECRET.FINGERPRINT; create one with "mirrorplane node token"',
    );
  }
  return { secret: match[1]!, fingerprint: match[2]! };
}
