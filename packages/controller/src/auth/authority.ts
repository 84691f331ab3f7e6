/**
 * The certificate authority of the cluster: signs the controller's certificate and those of the
 * agents. While it is rotated there are two. Both are trusted. The new one signs certificates of
 * agents, and the old one that of the controller, because all agents know it.
 */
import './reflect.ts';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import * as x509 from '@peculiar/x509';
import type { FileCopies } from '../store/file-copies.ts';
import { requestedKey } from './agent-request.ts';
import { AuthorityFiles } from './authority-files.ts';
import { createAuthority, Issuer, keyPem, newKeys } from './issuer.ts';

/**
 * Prefix of the field that ties an agent's certificate to one registration of its node. The node's
 * uid follows.
 */
export const NODE_URN = 'urn:mirrorplane:node:';
/**
 * Prefix of the field that says which certificate of its node it is. The generation follows, which
 * grows with each enrolment, and the number, which grows with each renewal: `3.14`.
 */
export const CERTIFICATE_URN = 'urn:mirrorplane:certificate:';

/** Field of the certificate with which a controller proves to another one what it is. */
export const CONTROLLER_URN = 'urn:mirrorplane:controller';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Lifetime of the certificate of an agent, milliseconds. */
export const AGENT_LIFETIME_MS = 30 * DAY_MS;
/** Lifetime of a certificate of the controller, milliseconds. */
const SERVER_LIFETIME_MS = 365 * DAY_MS;

export interface ServerCertificate {
  /** Certificate of the controller, followed by that of the authority. PEM. */
  certificate: string;
  key: string;
}

/** What a certificate of the controller is for. */
interface Served {
  name: string;
  /** Host names and addresses. */
  names: readonly string[];
  lifetimeMs: number;
  /** As for `Issuer.certify`. */
  fromBegin?: boolean;
}

/** A certificate request of an agent. */
export interface AgentRequest {
  csr: string;
  node: string;
  uid: string;
  /** 1 for the first enrolment. */
  generation: number;
  /** 0 for the certificate of the enrolment. */
  number: number;
}

/** An authority that is trusted. */
export type TrustedAuthority = Pick<Issuer, 'pem' | 'fingerprint' | 'endsAt'>;

/** A signature, and whose it is. */
export interface AuthoritySignature {
  /** ECDSA over P-256 and SHA-256, DER. */
  signature: Buffer;
  /** Of the authority that signed. */
  fingerprint: string;
}

export class Authority {
  readonly #files: AuthorityFiles;
  readonly #clock: () => number;
  readonly #listeners = new Set<() => void>();
  /** Known to all agents. */
  #current: Issuer;
  /** Takes its place. Undefined: it is not rotated. */
  #next: Issuer | undefined;
  /** A new one is being made. */
  #isMaking = false;
  /** The old one is being dropped. */
  #isDropping = false;
  #serverEndsAt: number | undefined;

  private constructor(files: AuthorityFiles, current: Issuer, next: Issuer | undefined, clock: () => number) {
    this.#files = files;
    this.#current = current;
    this.#next = next;
    this.#clock = clock;
  }

  /**
   * Reads the authority, or makes it. A rotation that was under way goes on.
   * @param clock milliseconds since 1970
   * @param copies has the files first, for other controllers
   */
  static async open(dataDir: string, clock: () => number, copies?: FileCopies): Promise<Authority> {
    const files = new AuthorityFiles(dataDir, copies);
    files.repair();
    if (files.current === undefined) {
      await files.writeCurrent(await createAuthority(clock()));
    }
    const next = files.next && (await Issuer.read(files.next));
    return new Authority(files, await Issuer.read(files.current!), next, clock);
  }

  /** The certificate of the authority that signs, in PEM. */
  get pem(): string {
    return this.#signing.pem;
  }

  /** End of that certificate, milliseconds since 1970. */
  get endsAt(): number {
    return this.#signing.endsAt;
  }

  /** SHA-256 of that certificate (DER), in hex: the last part of a join token. */
  get fingerprint(): string {
    return this.#signing.fingerprint;
  }

  /** All that are trusted. The first one signs. */
  get trusted(): readonly TrustedAuthority[] {
    return this.#next ? [this.#next, this.#current] : [this.#current];
  }

  /** Their certificates in PEM. */
  get trustedPem(): string {
    return this.trusted.map(({ pem }) => pem).join('');
  }

  /** Certificates of earlier authorities, PEM: what they have signed can still be verified. */
  get formerPem(): string {
    return this.#files.former;
  }

  /** Whether a rotation is under way, from its first moment until the old authority is dropped. */
  get isRotating(): boolean {
    return this.#isMaking || this.#next !== undefined;
  }

  /**
   * End of the newest certificate of the agents' port, milliseconds since 1970. Undefined: there is
   * none yet.
   */
  get serverEndsAt(): number | undefined {
    return this.#serverEndsAt;
  }

  /** Whether a trusted authority has signed a certificate. */
  hasSigned(certificate: X509Certificate): boolean {
    return this.#next?.hasSigned(certificate) || this.#current.hasSigned(certificate);
  }

  /** Calls `listener` whenever other authorities are trusted than before. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins a rotation: makes the new authority. @throws Error if one is under way */
  async rotate(): Promise<void> {
    if (this.isRotating) {
      throw new Error('the authority is being rotated');
    }
    this.#isMaking = true;
    try {
      const made = await createAuthority(this.#clock());
      const next = await Issuer.read(made);
      await this.#files.writeNext(made);
      this.#next = next;
    } finally {
      this.#isMaking = false;
    }
    this.#tell();
  }

  /** Ends a rotation: drops the old authority. @throws Error if none is under way */
  async drop(): Promise<void> {
    const next = this.#next;
    if (!next || this.#isDropping) {
      throw new Error('the authority is not being rotated');
    }
    this.#isDropping = true;
    try {
      await this.#files.drop();
    } finally {
      this.#isDropping = false;
    }
    this.#current = next;
    this.#next = undefined;
    this.#tell();
  }

  /** Signs something, with the authority that signs certificates. */
  async sign(data: Uint8Array): Promise<AuthoritySignature> {
    const { fingerprint } = this.#signing;
    return { signature: await this.#signing.sign(data), fingerprint };
  }

  /**
   * A new key and certificate for a port of the controller, valid for one year.
   * @param hosts host names and addresses of the port, in addition to the name `controller`
   * @param fingerprint of the trusted authority that signs. Default: the one that all agents know
   */
  async serverCertificate(
    hosts: readonly string[],
    fingerprint = this.#current.fingerprint,
  ): Promise<ServerCertificate> {
    const issuer = this.#next?.fingerprint === fingerprint ? this.#next : this.#current;
    const names = [...new Set([CONTROLLER_NAME, ...hosts])];
    const { endsAt, ...made } = await this.#serve(issuer, {
      name: CONTROLLER_NAME,
      names,
      lifetimeMs: SERVER_LIFETIME_MS,
      fromBegin: true,
    });
    this.#serverEndsAt = endsAt;
    return made;
  }

  /** The authority that has signed the certificate of the API: the one that is known for longest. */
  get ofApi(): TrustedAuthority {
    return this.#current;
  }

  /**
   * A new key and certificate for the API. It has not the name `controller`, so the key of the API
   * opens nothing of the agents' port.
   * @param names host names and addresses by which clients reach the API
   */
  async apiCertificate(names: readonly string[], lifetimeMs: number): Promise<ServerCertificate> {
    const { certificate, key } = await this.#serve(this.#current, { name: 'Mirrorplane API', names, lifetimeMs });
    return { certificate, key };
  }

  /**
   * A new key and certificate with which a controller proves to another one that it is one, valid
   * for a day. No agent gets one like it: `signAgent` gives other names.
   */
  async controllerCertificate(): Promise<ServerCertificate> {
    const keys = await newKeys();
    const certificate = await this.#signing.certify({
      subject: `CN=${CONTROLLER_NAME}`,
      publicKey: keys.publicKey,
      usage: x509.ExtendedKeyUsage.clientAuth,
      names: [{ type: 'url', value: CONTROLLER_URN }],
      lifetimeMs: DAY_MS,
      now: this.#clock(),
      fromBegin: true,
    });
    return { certificate: `${certificate.toString('pem')}\n`, key: await keyPem(keys) };
  }

  /**
   * Signs a client certificate for an agent, in PEM, valid for 30 days.
   * @throws RequestError as `requestedKey`
   */
  async signAgent({ csr, node, uid, generation, number }: AgentRequest): Promise<string> {
    const publicKey = await requestedKey(csr, node);
    const certificate = await this.#signing.certify({
      subject: `CN=${node}`,
      publicKey,
      usage: x509.ExtendedKeyUsage.clientAuth,
      names: [
        { type: 'dns', value: node },
        { type: 'url', value: NODE_URN + uid },
        { type: 'url', value: `${CERTIFICATE_URN}${generation}.${number}` },
      ],
      lifetimeMs: AGENT_LIFETIME_MS,
      now: this.#clock(),
    });
    return `${certificate.toString('pem')}\n`;
  }

  async #serve(
    issuer: Issuer,
    { name, names, lifetimeMs, fromBegin = false }: Served,
  ): Promise<ServerCertificate & { endsAt: number }> {
    const keys = await newKeys();
    const certificate = await issuer.certify({
      subject: `CN=${name}`,
      publicKey: keys.publicKey,
      usage: x509.ExtendedKeyUsage.serverAuth,
      names: names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
      lifetimeMs,
      now: this.#clock(),
      fromBegin,
    });
    return {
      certificate: `${certificate.toString('pem')}\n${issuer.pem}`,
      key: await keyPem(keys),
      endsAt: certificate.notAfter.getTime(),
    };
  }

  get #signing(): Issuer {
    return this.#next ?? this.#current;
  }

  #tell(): void {
    for (const listener of this.#listeners) {
      listener();
    }
  }
}
