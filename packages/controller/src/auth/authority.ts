/**
 * The certificate authority of the cluster: signs the controller's certificate and those of the
 * agents.
 */
import './reflect.ts';
import { createHash, createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import * as x509 from '@peculiar/x509';

/**
 * Prefix of the field that ties an agent's certificate to one registration of its node. The node's
 * uid follows.
 */
export const NODE_URN = 'urn:mirrorplane:node:';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of the cluster may differ by this much. */
const SKEW_MS = 60 * 60 * 1000;

x509.cryptoProvider.set(webcrypto);

/** A certificate request that is refused. The message has the reason. */
export class RequestError extends Error {
  override name = 'RequestError';
}

export interface ServerCertificate {
  /** Certificate of the controller, followed by that of the authority. PEM. */
  certificate: string;
  key: string;
}

/** A certificate request of an agent. */
export interface AgentRequest {
  csr: string;
  node: string;
  uid: string;
}

export class Authority {
  readonly #certificate: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;
  readonly #clock: () => number;
  #serverEndsAt: number | undefined;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey, clock: () => number) {
    this.#certificate = certificate;
    this.#key = key;
    this.#clock = clock;
  }

  /**
   * Reads DATA/ca.crt and DATA/ca.key, or makes them.
   * @param clock milliseconds since 1970
   */
  static async open(dataDir: string, clock: () => number): Promise<Authority> {
    const files = { certificate: path.join(dataDir, 'ca.crt'), key: path.join(dataDir, 'ca.key') };
    if (!existsSync(files.certificate)) {
      // The certificate is written last, so that it never exists without its key.
      const { certificate, key } = await createAuthority(clock());
      replaceFileSync(files.key, key);
      replaceFileSync(files.certificate, certificate);
    }
    const certificate = new x509.X509Certificate(readFileSync(files.certificate, 'utf8'));
    const pkcs8 = createPrivateKey(readFileSync(files.key, 'utf8')).export({ type: 'pkcs8', format: 'der' });
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    return new Authority(certificate, key, clock);
  }

  /** The authority's certificate in PEM. */
  get pem(): string {
    return `${this.#certificate.toString('pem')}\n`;
  }

  /** End of the authority's certificate, milliseconds since 1970. */
  get endsAt(): number {
    return this.#certificate.notAfter.getTime();
  }

  /**
   * End of the newest certificate of the agents' port, milliseconds since 1970. Undefined: there is
   * none yet.
   */
  get serverEndsAt(): number | undefined {
    return this.#serverEndsAt;
  }

  /** SHA-256 of the authority's certificate (DER), in hex: the last part of a join token. */
  get fingerprint(): string {
    return createHash('sha256').update(Buffer.from(this.#certificate.rawData)).digest('hex');
  }

  /**
   * A new key and certificate for the agents' port, valid for one year. They are created at every
   * start.
   * @param hosts host names and addresses of the port, in addition to the name `controller`
   */
  async serverCertificate(hosts: readonly string[]): Promise<ServerCertificate> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const names = new Set([CONTROLLER_NAME, ...hosts]);
    const certificate = await this.#sign(`CN=${CONTROLLER_NAME}`, keys.publicKey, x509.ExtendedKeyUsage.serverAuth, [
      ...[...names].map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
    ]);
    const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    this.#serverEndsAt = certificate.notAfter.getTime();
    return {
      certificate: `${certificate.toString('pem')}\n${this.pem}`,
      key: x509.PemConverter.encode(key, 'PRIVATE KEY'),
    };
  }

  /**
   * Signs a client certificate for an agent, in PEM, valid for one year.
   * @throws RequestError if the request is damaged, is not signed by its own key, has another name,
   * or has a weak key
   */
  async signAgent({ csr, node, uid }: AgentRequest): Promise<string> {
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
    const certificate = await this.#sign(`CN=${node}`, publicKey, x509.ExtendedKeyUsage.clientAuth, [
      { type: 'dns', value: node },
      { type: 'url', value: NODE_URN + uid },
    ]);
    return `${certificate.toString('pem')}\n`;
  }

  async #sign(
    subject: string,
    publicKey: webcrypto.CryptoKey,
    usage: x509.ExtendedKeyUsage,
    names: x509.JsonGeneralNames,
  ): Promise<x509.X509Certificate> {
    const now = this.#clock();
    return x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject,
      issuer: this.#certificate.subject,
      notBefore: new Date(now - SKEW_MS),
      notAfter: new Date(Math.min(now + 365 * DAY_MS, this.#certificate.notAfter.getTime())),
      signingAlgorithm: ALGORITHM,
      publicKey: publicKey,
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
}

async function createAuthority(now: number): Promise<{ certificate: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Mirrorplane ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + 20 * 365 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys: keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: `${certificate.toString('pem')}\n`, key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n` };
}

/** 16 random bytes in hexadecimal. DER reads them as a positive number. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
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
