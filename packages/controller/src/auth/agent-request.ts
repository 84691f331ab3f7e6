/** The certificate request of an agent, and what it must be like. */
import './reflect.ts';
import { createHash, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate request that is refused. The message has the reason. */
export class RequestError extends Error {
  override name = 'RequestError';
}

/**
 * The public key of a certificate request.
 * @throws RequestError if the request is damaged, is not signed by its own key, has another name
 * than `node`, or has a weak key
 */
export async function requestedKey(csr: string, node: string): Promise<webcrypto.CryptoKey> {
  let request: x509.Pkcs10CertificateRequest;
  let publicKey: webcrypto.CryptoKey;
  let genuine: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(csr);
    publicKey = (await request.publicKey.export()) as webcrypto.CryptoKey;
    genuine = await request.verify();
  } catch (error) {
    throw new RequestError(`the certificate request cannot be read: ${(error as Error).message}`);
  }
  if (!genuine) {
    throw new RequestError('the certificate request is not signed by its own key');
  }
  const names = request.subjectName.getField('CN');
  if (names.length !== 1 || names[0] !== node) {
    throw new RequestError(`the certificate request is for "${names.join(', ')}" and not for "${node}"`);
  }
  if (!isStrong(publicKey)) {
    throw new RequestError('the key of the certificate request is too weak: use ECDSA P-256');
  }
  return publicKey;
}

/** SHA-256 of the public key of a request, hexadecimal. Undefined if it cannot be read. */
export function keyDigest(csr: string): string | undefined {
  try {
    const { rawData } = new x509.Pkcs10CertificateRequest(csr).publicKey;
    return createHash('sha256').update(Buffer.from(rawData)).digest('hex');
  } catch {
    return undefined;
  }
}

function isStrong({ algorithm }: webcrypto.CryptoKey): boolean {
  const { name, namedCurve, modulusLength } = algorithm as {
    name: string;
    namedCurve?: string;
    modulusLength?: number;
  };
  if (name === 'ECDSA') {
    return namedCurve === 'P-256' || namedCurve === 'P-384' || namedCurve === 'P-521';
  }
  return name === 'Ed25519' || (name.startsWith('RSA') && (modulusLength ?? 0) >= 2048);
}
