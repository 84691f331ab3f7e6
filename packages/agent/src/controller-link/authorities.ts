/** The certificates that a node trusts, and its own. PEM. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { certificatesIn, fingerprintOf } from '@mirrorplane/contract/certificate-text';

/** True if the certificate belongs to this node and key, and is signed by one of the authorities. */
export function isOf(
  certificate: string,
  { node, key, authority }: { node: string; key: KeyObject; authority: string },
): boolean {
  const issued = new X509Certificate(certificate);
  const ours = issued.checkPrivateKey(key) && commonName(certificate) === node;
  return ours && certificatesIn(authority).some((one) => issued.verify(new X509Certificate(one).publicKey));
}

/** SHA-256 of a certificate (DER), hex. */
export function fingerprint(pem: string): string {
  return fingerprintOf(new X509Certificate(pem).raw);
}

/** The name in a certificate. */
export function commonName(pem: string): string | undefined {
  return /^CN=(.*)$/m.exec(new X509Certificate(pem).subject)?.[1];
}
