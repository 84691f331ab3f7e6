/**
 * Renews the certificate of the node in time, over its session, follows the authorities that the
 * controller names, and reports when the certificate has ended.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { replaceFile, Serial } from '@mirrorplane/base';
import type { AgentMessage, AuthorityMessage, CertificateMessage } from '@mirrorplane/contract';
import { certificatesIn } from '@mirrorplane/contract/certificate-text';
import type { Logger } from '../log.ts';
import { fingerprint, isOf } from './authorities.ts';
import type { Credentials } from './connection.ts';
import { certificateRequest } from './csr.ts';
import { CREDENTIAL_FILES } from './enroll.ts';

const HOUR = 3_600_000;
/** A certificate is renewed after this share of its lifetime, and up to `SPREAD` of it later. */
const SHARE = 2 / 3;
const SPREAD = 1 / 12;
/** Milliseconds between two checks of the certificate, and between two warnings. */
const INTERVAL_MS = HOUR;
const WARNINGS_MS = 24 * HOUR;
/** Milliseconds that the controller has to send a certificate. */
const ANSWER_MS = 30_000;

/** State of a certificate. `due`: it should be renewed. `ended`: the node must enrol again. */
export type CertificateState = 'valid' | 'due' | 'ended';

/**
 * Each certificate is due at a moment of its own, so that nodes that have joined together do not
 * renew together.
 * @param certificate PEM
 */
export function stateOf(certificate: string, now: Date): CertificateState {
  const { from, to } = validityOf(certificate);
  const lifetime = to.getTime() - from.getTime();
  if (to <= now) {
    return 'ended';
  }
  return now.getTime() - from.getTime() >= lifetime * (SHARE + SPREAD * delayOf(certificate)) ? 'due' : 'valid';
}

/** From 0 to 1, always the same for one certificate. */
function delayOf(certificate: string): number {
  return Number.parseInt(fingerprint(certificate).slice(0, 8), 16) / 2 ** 32;
}

/** The validity of a certificate. @param certificate PEM */
export function validityOf(certificate: string): { from: Date; to: Date } {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { from: new Date(validFrom), to: new Date(validTo) };
}

/** The message for a node whose certificate has ended. */
export function endedMessage(node: string, certificate: string): string {
  const end = validityOf(certificate).to.toISOString();
  return `the certificate of the node has ended on ${end}: create a token with "mirrorplane node token ${node}", and start the agent with --token-file`;
}

export interface RenewalParts {
  node: string;
  credentials: Credentials;
  /** The data folder. */
  data: string;
  log: Logger;
  /** The session of the node. */
  link: { readonly connected: boolean; send(message: AgentMessage): void };
  /** Called with other credentials, before the controller is told that they are stored. */
  renewed: (credentials: Credentials) => void;
}

/** Looks after the certificate of one node. */
export class Renewal {
  readonly #parts: RenewalParts;
  #credentials: Credentials;
  #timer: NodeJS.Timeout | undefined;
  /** Ends the wait for an answer of the controller. */
  #asked: NodeJS.Timeout | undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** Files are written in the order in which messages came. */
  readonly #writes = new Serial();

  constructor(parts: RenewalParts) {
    this.#parts = parts;
    this.#credentials = parts.credentials;
  }

  /** Adds the authorities that the node trusts to the hello among its first messages. */
  greet(messages: readonly AgentMessage[]): AgentMessage[] {
    const trusts = certificatesIn(this.#credentials.authority).map(fingerprint);
    return messages.map((message) => (message.type === 'hello' ? { ...message, trusts } : message));
  }

  /** Checks now, and then every hour. */
  start(): void {
    this.#timer = setInterval(() => this.look(), INTERVAL_MS);
    this.look();
  }

  /** Checks now, for example when the controller can be reached again. */
  look(): void {
    const { node, log } = this.#parts;
    const { certificate } = this.#credentials;
    const state = stateOf(certificate, new Date());
    if (state === 'ended') {
      this.#warn(() => log.error(endedMessage(node, certificate)));
    } else if (state === 'due') {
      this.#ask();
    }
  }

  /** The controller has sent a certificate. */
  take({ certificate, authority }: CertificateMessage): void {
    clearTimeout(this.#asked);
    this.#asked = undefined;
    this.#write(async () => {
      const { node, link, log } = this.#parts;
      const key = createPrivateKey(this.#credentials.key);
      if (!isOf(certificate, { node, key, authority })) {
        throw new Error('the controller sent a certificate that is not for this node');
      }
      // The authorities first: the certificate may be of a new one.
      await this.#store({ authority });
      await this.#store({ certificate });
      link.send({ type: 'certificateStored', fingerprint: fingerprint(certificate) });
      log.info({ until: validityOf(certificate).to.toISOString() }, 'certificate renewed');
    });
  }

  /** The controller has named the authorities to trust. */
  follow({ authority, renew }: AuthorityMessage): void {
    this.#write(async () => {
      const all = certificatesIn(authority);
      if (all.length === 0) {
        throw new Error('the controller named no authority to trust');
      }
      await this.#store({ authority: all.join('') });
      this.#parts.log.info({ authorities: all.map(fingerprint) }, 'authorities of the controller stored');
      if (renew) {
        this.#ask();
      }
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#asked);
    await this.#writes.settled();
  }

  /** Asks for a certificate for the same key. */
  #ask(): void {
    const { node, link, log } = this.#parts;
    if (!link.connected) {
      return;
    }
    const key = createPrivateKey(this.#credentials.key);
    link.send({ type: 'renew', csr: certificateRequest(node, key, createPublicKey(key)) });
    const until = validityOf(this.#credentials.certificate).to.toISOString();
    clearTimeout(this.#asked);
    this.#asked = setTimeout(() => {
      this.#warn(() => log.warn({ until }, 'the controller sent no new certificate, trying again'));
    }, ANSWER_MS).unref();
  }

  /** Replaces one file atomically: a killed agent has the old one or the new one. */
  async #store(change: { authority: string } | { certificate: string }): Promise<void> {
    const [[name, text]] = Object.entries(change) as [['authority' | 'certificate', string]];
    if (this.#credentials[name] !== text) {
      await replaceFile(join(this.#parts.data, CREDENTIAL_FILES[name]), text, { mode: 0o644 });
      this.#credentials = { ...this.#credentials, [name]: text };
      this.#parts.renewed(this.#credentials);
    }
  }

  #write(run: () => Promise<void>): void {
    this.#writes.run(run).catch((error: unknown) => {
      this.#warn(() => this.#parts.log.error({ err: error }, 'the certificate could not be renewed'));
    });
  }

  /** Warns at most once a day, because the condition may last for weeks. */
  #warn(write: () => void): void {
    if (performance.now() - this.#warnedAt < WARNINGS_MS) {
      return;
    }
    this.#warnedAt = performance.now();
    write();
  }
}
