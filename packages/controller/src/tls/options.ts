/** What TLS connections to the API have to be. */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { ServerCertificate } from '../auth/authority.ts';

/** Milliseconds in which the first bytes of a connection, and then its handshake, must arrive. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Ciphers with forward secrecy and authentication of what they encrypt: those of TLS 1.3, and of
 * TLS 1.2 the intermediate list of Mozilla's Server Side TLS without its finite-field ones.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Options of the server, and of each later `setSecureContext`. */
export function secureOptions({ certificate, key }: ServerCertificate): SecureContextOptions {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    // A client could make the server compute handshake after handshake on one connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
