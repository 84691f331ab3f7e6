/** The certificates that a node trusts, and its own. PEM. */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';

/** The certificates in a text, each in PEM. */
export function authoritiesOf(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
}

/** True if the certificate belongs to this node and key, and is signed by one of the authorities. */
export function isOf(
  certificate: string,
  { node, key, authority }: { node: string; key: KeyObject; authority: string },
): boolean {
  const issued = new X509Certificate(certificate);
  const ours = issued.checkPrivateKey(key) && commonName(certificate) === node;
  return ours && authoritiesOf(authority).some((one) => issued.verify(new X509Certificate(one).publicKey));
}

/** SHA-256 of a certificate (DER), hex. */
export function fingerprint(pem: string): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}

/** The name in a certificate. */
export function commonName(pem: string): string | undefined {
  return /^CN=(.*)$/m.exec(new X509Certificate(pem).subject)?.[1];
}
