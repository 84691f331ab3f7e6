/** A certificate of the controller's own authority: made at the first start, renewed by itself. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import type { Authority, ServerCertificate } from '../auth/authority.ts';
import type { CertificateSource } from './api-certificate.ts';
import { canonicalName } from './names.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Milliseconds that a certificate is good for, and below it those left when it is renewed. */
const LIFE_MS = 90 * DAY_MS;
const RENEWED_MS = 30 * DAY_MS;
/** Milliseconds between two looks: a host gets a new address now and then. */
const INTERVAL_MS = 60_000;

export interface OwnCertificateOptions {
  /** Asked at each look, because a controller that follows another one gets another authority. */
  authority: () => Authority | Promise<Authority>;
  /** Folder of api.crt and api.key. */
  data: string;
  /** Names and addresses that the certificate has to be for, as `apiNames` makes them. */
  names: () => string[];
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Logger;
}

/** Reads DATA/api.crt and DATA/api.key, or makes them. */
export async function ownCertificate(options: OwnCertificateOptions): Promise<CertificateSource> {
  let current = read(options.data);
  const next = async () => {
    const names = options.names();
    const authority = await options.authority();
    if (current !== undefined && isGood(current, names, authority, options.clock())) {
      return undefined;
    }
    current = await authority.apiCertificate(names, LIFE_MS);
    write(options.data, current);
    options.log.info({ names }, 'certificate of the api made');
    return current;
  };
  await next();
  return { first: current!, next, intervalMs: INTERVAL_MS };
}

const filesOf = (data: string) => ({ certificate: path.join(data, 'api.crt'), key: path.join(data, 'api.key') });

function read(data: string): ServerCertificate | undefined {
  const files = filesOf(data);
  try {
    return { certificate: readFileSync(files.certificate, 'utf8'), key: readFileSync(files.key, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw error;
    }
    return undefined;
  }
}

/** A stop between the two files leaves a key without its certificate, which the next start replaces. */
function write(data: string, { certificate, key }: ServerCertificate): void {
  const files = filesOf(data);
  replaceFileSync(files.key, key);
  replaceFileSync(files.certificate, certificate);
}

/** Whether a certificate is of the authority as it is, for these names, and good for a while. */
function isGood(
  { certificate, key }: ServerCertificate,
  names: readonly string[],
  authority: Authority,
  now: number,
): boolean {
  try {
    const leaf = new X509Certificate(certificate);
    return (
      certificate.endsWith(authority.ofApi.pem) &&
      leaf.checkPrivateKey(createPrivateKey(key)) &&
      Date.parse(leaf.validTo) - now > RENEWED_MS &&
      Date.parse(leaf.validFrom) <= now &&
      namesOf(leaf).join() === names.join()
    );
  } catch {
    return false;
  }
}

/** Names and addresses of a certificate, sorted, in the form of `apiNames`. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName
    .split(', ')
    .map((entry) => canonicalName(entry.replace(/^(DNS|IP Address):/, '')))
    .sort();
}
