/** The certificate of `--tls-certificate` and `--tls-key`: it is read again when the files change. */
import { readFileSync } from 'node:fs';
import { readSecretFile } from '@mirrorplane/daemon';
import type { CertificateSource } from './api-certificate.ts';
import { type CheckedCertificate, checkCertificate } from './check-certificate.ts';

/** Milliseconds between two looks at the files. */
const INTERVAL_MS = 5000;

/** The files of an operator. */
export interface CertificateFiles {
  /** The certificate of the key, then those that signed it. PEM. */
  certificate: string;
  key: string;
}

export interface GivenCertificateOptions extends CertificateFiles {
  /** Milliseconds since 1970. */
  clock: () => number;
  /** A new certificate is in use. */
  replaced: (certificate: CheckedCertificate) => void;
  /** New files cannot be used: the certificate before stays in use. */
  refused: (error: Error) => void;
}

/** Reads the files. @throws Error with what to do, where they cannot be used */
export function givenCertificate(options: GivenCertificateOptions): CertificateSource & { first: CheckedCertificate } {
  const first = readCertificate(options);
  let current = first;
  /** What was found last, if it is not in use. It is told once, and only when it has stayed for a look. */
  let bad: { text: string; told: boolean } | undefined;
  const next = async () => {
    try {
      const found = readCertificate(options);
      bad = undefined;
      if (found.certificate === current.certificate && found.key === current.key) {
        return undefined;
      }
      current = found;
      options.replaced(found);
      return found;
    } catch (error) {
      // The two files may be written one after the other.
      const { message } = error as Error;
      if (bad?.text !== message) {
        bad = { text: message, told: false };
      } else if (!bad.told) {
        bad.told = true;
        options.refused(error as Error);
      }
      return undefined;
    }
  };
  return { first, next, intervalMs: INTERVAL_MS };
}

function readCertificate({ certificate, key, clock }: GivenCertificateOptions): CheckedCertificate {
  const files = {
    certificate: readable(certificate, () => readFileSync(certificate, 'utf8')),
    key: readable(key, () => readSecretFile(key, 'the key of the API')),
  };
  try {
    return checkCertificate(files, clock());
  } catch (error) {
    throw new Error(`${certificate} ${(error as Error).message}`);
  }
}

function readable(file: string, read: () => string): string {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(code === undefined ? message : `${file} cannot be read (${code}): check its path and its owner`);
  }
}
