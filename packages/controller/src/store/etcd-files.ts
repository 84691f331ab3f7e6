/**
 * The files of TLS for etcd, before anything else is done: what is wrong with them by themselves would
 * otherwise look like an etcd that does not answer. They are read again at each connect.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readSecretFile } from '@mirrorplane/daemon';
import type { EtcdTls } from './etcd/tls.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * @param endpoints URLs of the members
 * @throws Error that names the option, with a remedy
 */
export function checkEtcdFiles({ ca, certificate, key }: EtcdTls, endpoints: readonly string[]): void {
  const given = [ca !== undefined && '--etcd-ca', certificate !== undefined && '--etcd-cert'].find(Boolean);
  if (given && !endpoints.some((url) => url.startsWith('https:'))) {
    throw new Error(`${given} is given, and no member of --etcd speaks TLS: write https://, or leave ${given} out`);
  }
  if (ca !== undefined) {
    certificatesIn('--etcd-ca', ca);
  }
  if (certificate !== undefined && key !== undefined) {
    const [own] = certificatesIn('--etcd-cert', certificate);
    if (!own!.checkPrivateKey(keyIn(key))) {
      throw new Error(
        `--etcd-key: ${key} is not the key of the certificate in ${certificate}: name the two that belong together`,
      );
    }
  }
}

/** A secret of a file that others cannot read. @param option that names the file. @throws Error that names it */
export function secretOf(option: string, file: string, what: string): string {
  return orNamed(option, file, () => readSecretFile(file, what));
}

/** At least one. @throws Error that names the option */
function certificatesIn(option: string, file: string): X509Certificate[] {
  const blocks = orNamed(option, file, () => readFileSync(file, 'latin1')).match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    throw new Error(`${option}: ${file} has no certificate in PEM: it begins with "-----BEGIN CERTIFICATE-----"`);
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new Error(`${option}: a certificate in ${file} is damaged: ${(error as Error).message}`);
  }
}

function keyIn(file: string): KeyObject {
  const text = secretOf('--etcd-key', file, 'the key of etcd');
  try {
    return createPrivateKey(text);
  } catch {
    throw new Error(`--etcd-key: ${file} has no key in PEM, or one with a passphrase: name one without a passphrase`);
  }
}

function orNamed<T>(option: string, file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      code === 'ENOENT'
        ? `${option}: there is no file ${file}`
        : code === undefined
          ? message
          : `${option}: ${message}`,
    );
  }
}
