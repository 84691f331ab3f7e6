/** Opens the certificate of the API as the options say, and reports what happens to it. */
import { hostname, networkInterfaces } from 'node:os';
import type { EventDraft } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { Authority } from '../auth/authority.ts';
import type { EventLog } from '../events/log.ts';
import type { ListenAddress } from '../listen.ts';
import { ApiCertificate, type CertificateSource } from './api-certificate.ts';
import { type CertificateFiles, givenCertificate } from './given-certificate.ts';
import { apiNames } from './names.ts';
import { ownCertificate } from './own-certificate.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Milliseconds before the end of an operator's certificate from which on it is reported each day. */
const WARNING_MS = 14 * DAY_MS;

/** Options for TLS at the API. */
export interface TlsOptions {
  /** Names and addresses for the controller's own certificate, besides those of the host. */
  names?: readonly string[];
  /** Files to use in place of the controller's own certificate. */
  files?: CertificateFiles;
}

interface Parts {
  listen: readonly ListenAddress[];
  tls: TlsOptions;
  /** Asked at each look. */
  authority: () => Authority | Promise<Authority>;
  /** Folder of the controller. */
  data: string;
  events: Pick<EventLog, 'note'>;
  log: Logger;
  /** Milliseconds since 1970. */
  clock: () => number;
}

/**
 * The certificate for all addresses with TLS. Undefined: there is no such address.
 * @throws Error with what to do, where the operator's files cannot be used
 */
export async function openApiCertificate(parts: Parts): Promise<ApiCertificate | undefined> {
  const { listen, tls, authority, data, log, clock } = parts;
  if (!listen.some((address) => 'scheme' in address && address.scheme === 'https')) {
    return undefined;
  }
  const failed = (error: unknown) => log.error({ err: error }, 'certificate of the api not renewed');
  if (tls.files) {
    return new ApiCertificate(fromFiles(tls.files, parts), failed);
  }
  const names = () => apiNames(listen, tls.names ?? [], { hostname: hostname(), interfaces: networkInterfaces() });
  return new ApiCertificate(await ownCertificate({ authority, data, names, clock, log }), failed);
}

function fromFiles(files: CertificateFiles, { events, log, clock }: Parts): CertificateSource {
  let endsAt = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  const source = givenCertificate({
    ...files,
    clock,
    replaced: (certificate) => {
      endsAt = certificate.endsAt;
      log.info({ endsAt: new Date(endsAt).toISOString() }, 'certificate of the api replaced');
    },
    refused: ({ message }) => {
      log.warn({ reason: message }, 'new certificate of the api refused, the one before stays in use');
      void events.note(event('certificateRefused', `the certificate before stays in use: ${message}`));
    },
  });
  endsAt = source.first.endsAt;
  const next = () => {
    if (endsAt - clock() < WARNING_MS && clock() - toldAt >= DAY_MS) {
      toldAt = clock();
      const message = `the certificate of the API ends on ${new Date(endsAt).toISOString()}: replace ${files.certificate}`;
      log.warn({ problem: message }, 'certificate of the api ends');
      void events.note({ ...event('certificateEnding', message), code: 'CERTIFICATE_ENDING' });
    }
    return source.next();
  };
  return { ...source, next };
}

/** Reports that an address is not encrypted, though others can reach it. */
export function reportInsecure(address: string, { events, log }: Pick<Parts, 'events' | 'log'>): void {
  log.warn({ address }, 'api is not encrypted: others can read tokens and packets on the way');
  const message = `the API at ${address} is not encrypted: tokens, policies and packets can be read on the way. Listen on https:// instead`;
  void events.note(event('apiNotEncrypted', message));
}

function event(kind: EventDraft['kind'], message: string): EventDraft {
  const controller = { kind: 'controller', name: 'controller' } as const;
  return { kind, object: controller, message, cause: controller };
}
