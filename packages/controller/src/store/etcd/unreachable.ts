/** Why a member of etcd cannot be reached, in words that name the option to change. */
import type { EtcdTls } from './tls.ts';

/** A connection that has failed. */
export interface Failed {
  url: string;
  tls: EtcdTls;
  /** Whether the member has spoken HTTP/2 on it. */
  hasSpoken: boolean;
}

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
]);

/** What to say of the error of a connection. @param error as Node.js gives it */
export function whyUnreachable(error: Error, failed: Failed): string {
  // A request that waits for its connection gets an error of its own, which has that of the connection.
  const cause = error.cause instanceof Error ? error.cause : error;
  return `${failed.url}: ${remedyOf(cause, failed) ?? cause.message.trim()}`;
}

function remedyOf(error: Error, { url, tls, hasSpoken }: Failed): string | undefined {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (url.startsWith('http:')) {
    const isCut = !hasSpoken && (message === CUT || code === 'ECONNRESET' || code.startsWith('ERR_HTTP2'));
    return isCut
      ? 'the connection was cut before etcd has said anything: if it speaks TLS, write https:// in --etcd'
      : undefined;
  }
  if (UNTRUSTED.has(code)) {
    return tls.ca === undefined
      ? 'none of the authorities of this host has signed its certificate: name the one that has with --etcd-ca'
      : `none of the certificates in ${tls.ca} has signed its certificate: name the authority that has with --etcd-ca`;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another name: write a name of the certificate in --etcd, or give it this one (${message})`;
  }
  if (code === 'CERT_HAS_EXPIRED') {
    return 'its certificate has ended: renew it';
  }
  if (
    /alert (bad certificate|unknown ca|certificate (required|expired|unknown|revoked))|alert number (42|48|116)/i.test(
      message,
    )
  ) {
    return tls.certificate === undefined
      ? 'it asks for a certificate: give --etcd-cert and --etcd-key'
      : `it does not trust the certificate in ${tls.certificate}: give --etcd-cert and --etcd-key that its --trusted-ca-file has signed`;
  }
  if (
    !hasSpoken &&
    (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' || isNoTls(error))
  ) {
    return 'it does not speak TLS: if that is right, write http:// in --etcd';
  }
  return undefined;
}

/** As this program says it where a call ends without an answer. */
export const CUT = 'the call was cut';

/** As Node.js says it where the other end hangs up in the handshake. */
function isNoTls({ message }: Error): boolean {
  return message.startsWith('Client network socket disconnected before secure TLS connection');
}
