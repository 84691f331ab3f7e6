/** Certificates as text, and the hash by which people and programs name them. */
import { createHash } from 'node:crypto';

/** The certificates in a text, each in PEM with its line end. */
export function certificatesIn(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block}\n`);
}

/** The fingerprint of a certificate: SHA-256, in hex. @param der the certificate, as `raw` has it */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}
