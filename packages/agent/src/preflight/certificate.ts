/** Checks the certificate of an earlier enrolment, and the clock. */
import { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CREDENTIAL_FILES } from '../controller-link/enroll.ts';
import { readBounded } from '../discovery/bounded-file.ts';
import { reason } from '../log.ts';
import { type Check, failed, ok, warning } from './check.ts';

/** The largest file, bytes. Certificates of a controller have less than one KiB. */
const MAX_SIZE = 64 << 10;

/** Undefined: the node has not enrolled. */
export type CertificateFacts = undefined | { error: string } | { node: string; from: Date; to: Date };

/** @param data the data folder */
export async function readCertificate(data: string): Promise<CertificateFacts> {
  try {
    const text = await readBounded(join(data, CREDENTIAL_FILES.certificate), MAX_SIZE);
    if (text === undefined) {
      return undefined;
    }
    const { subject, validFrom, validTo } = new X509Certificate(text);
    return { node: /^CN=(.*)$/m.exec(subject)?.[1] ?? '', from: new Date(validFrom), to: new Date(validTo) };
  } catch (error) {
    return { error: reason(error) };
  }
}

export interface CertificateQuestion {
  /** The data folder. */
  data: string;
  now: Date;
  /** Name of the node. Undefined: unknown. */
  node: string | undefined;
  /** A join token is given. Undefined: not known yet. */
  token: boolean | undefined;
}

export function judgeCertificate(facts: CertificateFacts, { data, now, node, token }: CertificateQuestion): Check {
  const join = `create a token with "mirrorplane node token ${node ?? 'NODE'}", and give it with --token-file`;
  if (facts === undefined) {
    if (token !== false) {
      return ok('certificate', 'none: the node joins at the first start, with a join token');
    }
    return failed('certificate', 'the node has not joined yet, and no join token is given', join);
  }
  if ('error' in facts) {
    return failed('certificate', `the certificate in ${data} cannot be read: ${facts.error}`, `remove it, and ${join}`);
  }
  if (node !== undefined && facts.node !== node) {
    const found = `the certificate in ${data} belongs to node "${facts.node}", and not to "${node}"`;
    return failed('certificate', found, 'give another directory with --data');
  }
  if (facts.to <= now) {
    const found = `the certificate of node ${facts.node} ended on ${facts.to.toISOString()}`;
    if (token) {
      return ok('certificate', `${found}: the node joins again`);
    }
    return warning('certificate', `${found}: the node copies as before, but cannot connect`, join);
  }
  return ok('certificate', `of node ${facts.node}, valid until ${facts.to.toISOString()}`);
}

/** The accepted difference between clocks, milliseconds. */
const SLACK_MS = 24 * 3600 * 1000;

/**
 * Checks the clock. A clock that is earlier than the certificate only causes a warning.
 * @param installed time when the files of this agent were written; undefined: unknown
 */
export function judgeClock(now: Date, installed: Date | undefined, certificate: CertificateFacts): Check {
  const remedy = 'set the clock, and keep it correct with NTP: "timedatectl set-ntp true"';
  const says = `the clock says ${now.toISOString()}`;
  if (certificate !== undefined && 'from' in certificate && now < certificate.from) {
    const found = `${says}, and the certificate of the node is valid from ${certificate.from.toISOString()}`;
    return warning('clock', `${found}: the node copies as before, but cannot connect`, remedy);
  }
  if (installed !== undefined && now.getTime() < installed.getTime() - SLACK_MS) {
    return warning('clock', `${says}, and this agent was installed on ${installed.toISOString()}`, remedy);
  }
  return ok('clock', says);
}

/** Time when the files of this agent were written. Undefined: unknown. */
export function readInstalled(): Date | undefined {
  return statSync(new URL(import.meta.url), { throwIfNoEntry: false })?.mtime;
}
