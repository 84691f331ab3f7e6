/** One authority: its certificate and its key, and the certificates that it signs. */
import './reflect.ts';
import { createPrivateKey, type KeyObject, randomBytes, sign, verify, webcrypto, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { fingerprintOf } from '@mirrorplane/contract/certificate-text';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of the cluster may differ by this much. */
const SKEW_MS = 60 * 60 * 1000;
/** Lifetime of an authority. */
const AUTHORITY_MS = 20 * 365 * DAY_MS;

const signWith = promisify(sign);

x509.cryptoProvider.set(webcrypto);

/** A certificate and its key, both PEM. */
export interface KeyPair {
  certificate: string;
  key: string;
}

/** What an authority certifies. */
export interface Certified {
  subject: string;
  publicKey: webcrypto.CryptoKey;
  usage: x509.ExtendedKeyUsage;
  names: x509.JsonGeneralNames;
  /** Milliseconds. It ends with the authority at the latest. */
  lifetimeMs: number;
  /** Milliseconds since 1970. */
  now: number;
  /**
   * It begins with the authority, and not an hour before `now`. For what a controller certifies of
   * itself: its clock may be far ahead of the clock of who checks it.
   */
  fromBegin?: boolean;
}

export class Issuer {
  readonly #certificate: x509.X509Certificate;
  /** The same key for certificates, and for other signatures. */
  readonly #key: webcrypto.CryptoKey;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  /** SHA-256 of the certificate (DER), in hex. */
  readonly fingerprint: string;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey, privateKey: KeyObject) {
    this.#certificate = certificate;
    this.#key = key;
    this.#privateKey = privateKey;
    this.#publicKey = new X509Certificate(certificate.toString('pem')).publicKey;
    this.fingerprint = fingerprintOf(Buffer.from(certificate.rawData));
  }

  /** @throws Error if one of the two cannot be read, or they do not belong together */
  static async read({ certificate, key }: KeyPair): Promise<Issuer> {
    const privateKey = createPrivateKey(key);
    const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
    const signing = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    const issuer = new Issuer(new x509.X509Certificate(certificate), signing, privateKey);
    await issuer.#requireOwnKey();
    return issuer;
  }

  /** The certificate in PEM. */
  get pem(): string {
    return `${this.#certificate.toString('pem')}\n`;
  }

  /** End of the certificate, milliseconds since 1970. */
  get endsAt(): number {
    return this.#certificate.notAfter.getTime();
  }

  /** Whether this authority has signed a certificate. */
  hasSigned(certificate: X509Certificate): boolean {
    return certificate.verify(this.#publicKey);
  }

  /** ECDSA over P-256 and SHA-256, DER. */
  sign(data: Uint8Array): Promise<Buffer> {
    return signWith('sha256', data, this.#privateKey);
  }

  /** A new certificate. */
  async certify({
    subject,
    publicKey,
    usage,
    names,
    lifetimeMs,
    now,
    fromBegin,
  }: Certified): Promise<x509.X509Certificate> {
    const soon = now - SKEW_MS;
    const begin = fromBegin ? Math.min(soon, this.#certificate.notBefore.getTime()) : soon;
    return x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject,
      issuer: this.#certificate.subject,
      notBefore: new Date(begin),
      notAfter: new Date(Math.min(now + lifetimeMs, this.endsAt)),
      signingAlgorithm: ALGORITHM,
      publicKey,
      signingKey: this.#key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ],
    });
  }

  async #requireOwnKey(): Promise<void> {
    const data = randomBytes(32);
    if (!verify('sha256', data, this.#publicKey, await this.sign(data))) {
      throw new Error(`the key of the authority ${this.fingerprint} does not belong to its certificate`);
    }
  }
}

/** A key for a certificate that is used at once. */
export function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** The private key in PEM. */
export async function keyPem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY')}\n`;
}

/** A new authority, valid for 20 years. @param now milliseconds since 1970 */
export async function createAuthority(now: number): Promise<KeyPair> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Mirrorplane ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + AUTHORITY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys) };
}

/** 16 random bytes in hexadecimal. DER reads them as a positive number. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
