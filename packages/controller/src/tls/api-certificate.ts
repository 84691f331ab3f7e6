/** The certificate that the API shows: it is replaced while connections go on. */
import { X509Certificate } from 'node:crypto';
import { Coalesced } from '@mirrorplane/base';
import type { ServerCertificate } from '../auth/authority.ts';

/** Where a certificate comes from. */
export interface CertificateSource {
  /** The one to begin with. */
  first: ServerCertificate;
  /** Looks whether there is a newer one. Undefined: the current one stays. */
  next(): Promise<ServerCertificate | undefined>;
  /** Milliseconds between two looks. */
  intervalMs: number;
}

export class ApiCertificate {
  #current: ServerCertificate;
  readonly #users = new Set<(certificate: ServerCertificate) => void>();
  readonly #looking: Coalesced;
  readonly #timer: NodeJS.Timeout;

  /** @param failed called with the error where a look fails; the current certificate stays */
  constructor(source: CertificateSource, failed: (error: unknown) => void) {
    this.#current = source.first;
    this.#looking = new Coalesced(async () => {
      const next = await source.next().catch(failed);
      if (next) {
        this.#replace(next);
      }
    });
    this.#timer = setInterval(() => void this.#looking.request(), source.intervalMs).unref();
  }

  get current(): ServerCertificate {
    return this.#current;
  }

  /** Its end, milliseconds since 1970. */
  get endsAt(): number {
    return Date.parse(new X509Certificate(this.#current.certificate).validTo);
  }

  /** Calls `use` with each certificate that replaces the current one. */
  onChange(use: (certificate: ServerCertificate) => void): void {
    this.#users.add(use);
  }

  /** Looks now. */
  look(): Promise<void> {
    return this.#looking.request();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking.close();
  }

  #replace(certificate: ServerCertificate): void {
    this.#current = certificate;
    for (const use of this.#users) {
      use(certificate);
    }
  }
}
