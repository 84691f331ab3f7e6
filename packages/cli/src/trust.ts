/**
 * Whom a connection by TLS is to: a controller is known by its authority, which is named by a
 * fingerprint or a file. It is loaded only for https, for it needs more time than a command.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { connect, type DetailedPeerCertificate, getCACertificates } from 'node:tls';
import { certificatesIn, fingerprintOf } from '@mirrorplane/contract/certificate-text';
import { CliError } from './exit.ts';

/** How a controller is known. Without all of it: by the authorities of this host. */
export interface Trust {
  /** SHA-256 of one certificate or several, as `parseFingerprints` reads them. One has to be in the chain. */
  fingerprint?: string | undefined;
  /** A file with authorities, PEM. */
  caFile?: string | undefined;
  /** An authority, PEM, as it was kept at an earlier sign-in. */
  authority?: string | undefined;
}

/** What `node:https` needs for a connection to such a controller and to no other. */
export interface ConnectionOptions {
  ca: string[];
  /** A certificate that is named itself counts, also if it is not one that has signed itself. */
  allowPartialTrustChain: boolean;
}

/** A certificate that a server shows. */
export interface SeenCertificate {
  /** SHA-256, small hexadecimal digits. */
  fingerprint: string;
  pem: string;
}

/** Milliseconds that a look at a server's chain may take. */
const LOOK_MS = 10_000;

/**
 * Reads one fingerprint or several with commas: 64 hexadecimal digits, also with colons, capitals
 * and `sha256:` before them, or the line of `openssl x509 -fingerprint`. @throws CliError (usage)
 */
export function parseFingerprints(text: string): string[] {
  return text.split(',').map((part) => {
    const digits = part
      .trim()
      .replace(/^sha-?256( fingerprint)?\s*[:=]\s*/i, '')
      .replaceAll(/[:\s]/g, '')
      .toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(digits)) {
      throw new CliError(
        'usage',
        `"${part.trim()}" is no fingerprint: it has 64 hexadecimal digits, as the log of the controller has it at its start`,
      );
    }
    return digits;
  });
}

/** A fingerprint as OpenSSL and browsers show it. */
export function formatFingerprint(digits: string): string {
  return digits.toUpperCase().match(/../g)!.join(':');
}

/**
 * Options for each connection to the controller at `url`. With a fingerprint alone, it asks the
 * controller for its chain first, and sends nothing else.
 * @throws CliError where the chain has no such certificate, or a file cannot be read
 */
export async function connectionOptions(url: URL, trust: Trust): Promise<ConnectionOptions> {
  const fingerprints = trust.fingerprint === undefined ? undefined : parseFingerprints(trust.fingerprint);
  const known = [
    ...(trust.caFile === undefined ? [] : authoritiesIn(trust.caFile)),
    ...(trust.authority === undefined ? [] : [trust.authority]),
  ];
  if (fingerprints === undefined) {
    const ca = known.length > 0 ? known : [...getCACertificates('default'), ...getCACertificates('system')];
    return { ca, allowPartialTrustChain: known.length > 0 };
  }
  const among = known.length > 0 ? known.map(seenOf) : await seenChain(url);
  const pinned = among.filter(({ fingerprint }) => fingerprints.includes(fingerprint)).map(({ pem }) => pem);
  if (pinned.length === 0) {
    throw otherAuthority(url, among, fingerprints);
  }
  return { ca: pinned, allowPartialTrustChain: true };
}

/**
 * The chain that a server shows, its own certificate first and its authority last, if it sends it.
 * Nothing of it is verified.
 * @throws Error of the connection
 */
export function seenChain(url: URL): Promise<SeenCertificate[]> {
  const host = hostOf(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      ...(isIP(host) === 0 && { servername: host }),
    });
    socket.setTimeout(LOOK_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const chain: SeenCertificate[] = [];
      let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      // The last one has itself as its issuer.
      while (at?.raw !== undefined && !chain.some(({ fingerprint }) => fingerprint === fingerprintOf(at!.raw))) {
        chain.push(seenOf(new X509Certificate(at.raw).toString()));
        at = at.issuerCertificate;
      }
      socket.destroy();
      resolve(chain);
    });
  });
}

/**
 * Why a connection by TLS failed, with a remedy. Undefined for errors that are not about TLS.
 * @param trust as the connection was made
 */
export async function tlsFailure(url: URL, trust: Trust, cause: Error): Promise<CliError | undefined> {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === undefined) {
    return undefined;
  }
  const where = `the controller at ${url.origin}`;
  const failure = (text: string) => new CliError('unavailable', `${where} ${text}`, { cause });
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return failure(
      'does not speak TLS: its API is plain HTTP\n' +
        'on the host of the controller, use http:// or unix:; from other hosts, let it listen on https://',
    );
  }
  if (code === 'CERT_HAS_EXPIRED') {
    return failure('has a certificate that has ended\nput a new one in place, and check the clocks of both hosts');
  }
  if (code === 'CERT_NOT_YET_VALID') {
    return failure('has a certificate that is not good yet\ncheck the clocks of this host and of the controller');
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return failure(
      `has a certificate for other names than ${hostOf(url)}\n` +
        'use one of its names in the URL, or let the controller add this one with --tls-name',
    );
  }
  if (!/CERT|ISSUER|SIGNATURE|CRL|PURPOSE|CA$/.test(code)) {
    return undefined;
  }
  const chain = await seenChain(url).catch(() => []);
  if (trust.fingerprint !== undefined || trust.authority !== undefined) {
    const known = trust.fingerprint === undefined ? undefined : parseFingerprints(trust.fingerprint);
    return otherAuthority(url, chain, known ?? [seenOf(trust.authority!).fingerprint]);
  }
  const seen = chain.at(-1);
  return failure(
    `has a certificate of an authority that is not known here (${code})\n` +
      (seen === undefined ? '' : `its fingerprint is ${formatFingerprint(seen.fingerprint)}\n`) +
      'compare it with the one that the log of the controller has at its start, or that this command prints on its host:\n' +
      '  openssl x509 -in /var/lib/mirrorplane/ca.crt -noout -fingerprint -sha256\n' +
      'if they are the same, give it with --fingerprint or MIRRORPLANE_FINGERPRINT; or name the authority with --ca-file',
  );
}

function otherAuthority(url: URL, chain: readonly SeenCertificate[], wanted: readonly string[]): CliError {
  const seen = chain.at(-1);
  return new CliError(
    'unavailable',
    `the controller at ${url.origin} is not the one that is known here: someone else may be in between, and nothing was sent\n` +
      `known: ${wanted.map(formatFingerprint).join(', ')}\n` +
      `seen:  ${seen === undefined ? 'none' : formatFingerprint(seen.fingerprint)}\n` +
      'if the authority of the controller was replaced, compare the fingerprint on its host, and give the new one with --fingerprint',
  );
}

function authoritiesIn(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(
      'usage',
      `the file of authorities ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
  const found = certificatesIn(text);
  if (found.length === 0) {
    throw new CliError('usage', `the file of authorities ${file} has no certificate in PEM`);
  }
  return found;
}

function seenOf(pem: string): SeenCertificate {
  try {
    return { pem, fingerprint: fingerprintOf(new X509Certificate(pem).raw) };
  } catch (error) {
    throw new CliError('usage', `a certificate of an authority cannot be read: ${(error as Error).message}`);
  }
}

/** The host of a URL: an IPv6 address without brackets. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
