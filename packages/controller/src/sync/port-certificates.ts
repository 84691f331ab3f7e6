/**
 * The certificates of the agents' port: one of each authority that is trusted. An agent that joins
 * asks for the authority of its join token by name, all others get the one that every agent knows.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { serverNameOf } from '@mirrorplane/contract';
import type { Services } from '../services.ts';

/** Milliseconds between new certificates: a controller may run longer than one is valid. */
const RENEWAL_MS = 24 * 60 * 60 * 1000;

type Parts = Pick<Services, 'authority' | 'log'>;

export class PortCertificates {
  readonly #parts: Parts;
  readonly #hosts: readonly string[];
  readonly #byName = new Map<string, SecureContext>();
  #context: SecureContextOptions = {};
  #close: () => void = () => undefined;

  private constructor(parts: Parts, hosts: readonly string[]) {
    this.#parts = parts;
    this.#hosts = hosts;
  }

  /** @param hosts names and addresses of the port */
  static async make(parts: Parts, hosts: readonly string[]): Promise<PortCertificates> {
    const certificates = new PortCertificates(parts, hosts);
    await certificates.#make();
    return certificates;
  }

  /** What agents get that ask for no authority. */
  get context(): SecureContextOptions {
    return this.#context;
  }

  /** Chooses the certificate for the name that the other end asks for. */
  readonly choose = (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
    done(null, this.#byName.get(name));
  };

  /** Makes the certificates again each day, and when other authorities are trusted. */
  follow(changed: (context: SecureContextOptions) => void): void {
    const again = () => {
      this.#make().then(
        () => changed(this.#context),
        (error: unknown) => this.#parts.log.error({ err: error }, 'certificate of the agents port not renewed'),
      );
    };
    const timer = setInterval(again, RENEWAL_MS).unref();
    const stop = this.#parts.authority.onChange(again);
    this.#close = () => {
      clearInterval(timer);
      stop();
    };
  }

  close(): void {
    this.#close();
  }

  async #make(): Promise<void> {
    const { authority } = this.#parts;
    const ca = authority.trustedPem;
    const contextOf = async (fingerprint?: string): Promise<SecureContextOptions> => {
      const { certificate, key } = await authority.serverCertificate(this.#hosts, fingerprint);
      return { cert: certificate, key, ca, minVersion: 'TLSv1.3' };
    };
    const context = await contextOf();
    const names = new Map<string, SecureContext>();
    for (const { fingerprint } of authority.trusted) {
      names.set(serverNameOf(fingerprint), createSecureContext(await contextOf(fingerprint)));
    }
    this.#context = context;
    this.#byName.clear();
    for (const [name, made] of names) {
      this.#byName.set(name, made);
    }
  }
}
