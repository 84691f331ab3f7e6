/** Checks the certificate that an operator gives for the API, with what to do about each fault. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { certificatesIn } from '@mirrorplane/contract/certificate-text';
import type { ServerCertificate } from '../auth/authority.ts';
import { secureOptions } from './options.ts';

/** OID of the purpose of a TLS server (RFC 5280, section 4.2.1.12). */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** A certificate that can be used, and its end in milliseconds since 1970. */
export interface CheckedCertificate extends ServerCertificate {
  endsAt: number;
}

/**
 * @param given the certificate of the key, then those that signed it, and the key; PEM
 * @param now milliseconds since 1970
 * @throws Error with the fault and its remedy, for a sentence that begins with the file's name
 */
export function checkCertificate(given: ServerCertificate, now: number): CheckedCertificate {
  const chain = readChain(given.certificate);
  const key = readKey(given.key);
  const [leaf] = chain as [X509Certificate, ...X509Certificate[]];
  if (!leaf.checkPrivateKey(key)) {
    const later = chain.some((certificate) => certificate.checkPrivateKey(key));
    throw new Error(
      later
        ? 'has its certificates in the wrong order: put the certificate of the key first, and then each one that signed the one before'
        : 'is not for the key of --tls-key: give the two files that belong together',
    );
  }
  for (const [index, certificate] of chain.entries()) {
    checkTime(certificate, now);
    const issuer = chain[index + 1];
    if (issuer !== undefined && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))) {
      throw new Error(
        `has its certificates in the wrong order: number ${index + 1} was not signed by number ${index + 2}. ` +
          'Put the certificate of the key first, and then each one that signed the one before',
      );
    }
  }
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(SERVER_AUTH)) {
    throw new Error('is not for servers: get one with the extended key usage "TLS Web Server Authentication"');
  }
  try {
    createSecureContext(secureOptions(given));
  } catch (error) {
    throw new Error(`cannot be used for TLS (${(error as Error).message}): get another one`);
  }
  return { ...given, endsAt: Math.min(...chain.map(({ validTo }) => Date.parse(validTo))) };
}

function readChain(text: string): X509Certificate[] {
  const blocks = certificatesIn(text);
  if (blocks.length === 0) {
    throw new Error('has no certificate in PEM: it has to begin with "-----BEGIN CERTIFICATE-----"');
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`cannot be read at its certificate number ${index + 1}: ${(error as Error).message}`);
    }
  });
}

function readKey(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      code === 'ERR_MISSING_PASSPHRASE' || /ENCRYPTED/.test(text)
        ? 'cannot be used: the key of --tls-key has a passphrase. Take it away with "openssl pkey", and let only the controller read the file'
        : `cannot be used: the file of --tls-key has no key in PEM (${message})`,
    );
  }
}

function checkTime({ subject, validFrom, validTo }: X509Certificate, now: number): void {
  const name = subject.replaceAll('\n', ', ');
  if (Date.parse(validTo) <= now) {
    throw new Error(`has ended: "${name}" was good until ${validTo}. Get a new one`);
  }
  if (Date.parse(validFrom) > now) {
    throw new Error(`is not good yet: "${name}" begins on ${validFrom}. Check the clock of this host`);
  }
}
