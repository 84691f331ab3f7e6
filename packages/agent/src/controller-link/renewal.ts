/** Renews the certificate of the node in time, and reports when it has ended. */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { replaceFile } from '@mirrorplane/base';
import { EnrollResponse } from '@mirrorplane/contract';
import type { Logger } from '../log.ts';
import type { Credentials } from './connection.ts';
import { certificateRequest } from './csr.ts';
import { CREDENTIAL_FILES, fingerprint, isOf, parseController, post } from './enroll.ts';

const HOUR = 3_600_000;
/** A certificate is renewed when less than this share of its lifetime is left. */
const SHARE = 1 / 3;
/** Milliseconds between two checks of the certificate, and between two warnings. */
const INTERVAL_MS = HOUR;
const WARNINGS_MS = 24 * HOUR;

/** State of a certificate. `due`: it should be renewed. `ended`: the node must enrol again. */
export type CertificateState = 'valid' | 'due' | 'ended';

/** @param certificate PEM */
export function stateOf(certificate: string, now: Date): CertificateState {
  const { from, to } = validityOf(certificate);
  const left = to.getTime() - now.getTime();
  if (left <= 0) {
    return 'ended';
  }
  return left < SHARE * (to.getTime() - from.getTime()) ? 'due' : 'valid';
}

/** The validity of a certificate. @param certificate PEM */
export function validityOf(certificate: string): { from: Date; to: Date } {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { from: new Date(validFrom), to: new Date(validTo) };
}

/** The message for a node whose certificate has ended. */
export function endedMessage(node: string, certificate: string): string {
  const end = validityOf(certificate).to.toISOString();
  return `the certificate of the node has ended on ${end}: create a token with "mirrorplane node token ${node}", and start the agent with --token`;
}

/**
 * Requests a new certificate for the same key, and stores it atomically: a killed agent has the old
 * or the new one. @throws Error if the controller cannot be reached, or refuses
 */
export async function renewCertificate(options: {
  node: string;
  controller: string;
  credentials: Credentials;
  /** The data folder. */
  data: string;
}): Promise<Credentials> {
  const { node, controller, credentials, data } = options;
  const { host, port } = parseController(controller);
  const key = createPrivateKey(credentials.key);
  const csr = certificateRequest(node, key, createPublicKey(key));
  const answer = await post({ host, port, path: '/renew', ...credentials }, { csr });
  const { certificate, authority } = EnrollResponse.parse(JSON.parse(answer));
  if (fingerprint(authority) !== fingerprint(credentials.authority) || !isOf(certificate, { node, key, authority })) {
    throw new Error('the controller answered with a certificate that is not for this node');
  }
  await replaceFile(join(data, CREDENTIAL_FILES.certificate), certificate, { mode: 0o644 });
  return { ...credentials, certificate };
}

export interface RenewalParts {
  node: string;
  controller: string;
  credentials: Credentials;
  data: string;
  log: Logger;
  /** Called with the renewed credentials. */
  renewed: (credentials: Credentials) => void;
}

/** Checks the certificate of one node regularly. */
export class Renewal {
  readonly #parts: RenewalParts;
  #credentials: Credentials;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RenewalParts) {
    this.#parts = parts;
    this.#credentials = parts.credentials;
  }

  /** Checks now, and then every hour. */
  start(): void {
    this.#timer = setInterval(() => this.look(), INTERVAL_MS);
    this.look();
  }

  /** Checks now, for example when the controller can be reached again. */
  look(): void {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { node, log, renewed } = this.#parts;
    const { certificate } = this.#credentials;
    const state = stateOf(certificate, new Date());
    if (state === 'valid') {
      return;
    }
    if (state === 'ended') {
      return this.#warn(() => log.error(endedMessage(node, certificate)));
    }
    try {
      this.#credentials = await renewCertificate({ ...this.#parts, credentials: this.#credentials });
      log.info({ until: validityOf(this.#credentials.certificate).to.toISOString() }, 'certificate renewed');
      renewed(this.#credentials);
    } catch (error) {
      const until = validityOf(certificate).to.toISOString();
      this.#warn(() => log.warn({ until, err: error }, 'the certificate could not be renewed, trying again'));
    }
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
