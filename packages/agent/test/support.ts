/** Shared parts of the agent's tests: namespaces, certificates, waiting. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import type { Link } from '../src/netlink/link.ts';

/** A log that shows all lines with V=1, and no line otherwise. */
export const testLog = createLog('agent', process.env.V ? 'debug' : 'silent');

/** True where namespaces can be made. */
export const isRoot = process.getuid?.() === 0;

/** A folder that is removed with the test. */
export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-agent-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An Ethernet device as netlink would give it; one without a kind is a NIC. */
export function link(name: string, ifindex: number, more: Partial<Link> = {}): Link {
  return {
    name,
    ifindex,
    mac: `02:00:00:00:00:${ifindex.toString(16).padStart(2, '0')}`,
    permanentMac: '',
    mtu: 1500,
    up: true,
    linkType: 'veth',
    alias: '',
    master: 0,
    forwarding: true,
    ethernet: true,
    ...(more.linkType === '' && { bus: 'pci' }),
    ...more,
  };
}

/** Runs `ip`, and gives what it prints. */
export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A certificate authority of openssl that signs the certificates of a test. */
export interface TestAuthority {
  certificate: string;
  /** SHA-256 of the certificate, hex. */
  fingerprint: string;
  /** A key and a certificate for this name, PEM. */
  issue(name: string): { key: string; certificate: string };
  /** Certifies a request; openssl checks its signature. */
  sign(csr: string): string;
}

/** Makes an authority in a folder of its own. */
export function testAuthority(t: Pick<TestContext, 'after'>): TestAuthority {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=test', '-days', '2');
  const fingerprint = openssl('x509', '-in', at('ca.crt'), '-noout', '-fingerprint', '-sha256')
    .split('=')[1]!
    .trim()
    .replaceAll(':', '')
    .toLowerCase();
  let serial = 1;
  const sign = (csr: string, name?: string): string => {
    const base = at(`s${serial}`);
    writeFileSync(`${base}.csr`, csr);
    openssl('req', '-in', `${base}.csr`, '-verify', '-noout');
    const extensions = name === undefined ? [] : ['-extfile', `${base}.ext`];
    if (name !== undefined) {
      writeFileSync(`${base}.ext`, `subjectAltName=DNS:${name}`);
    }
    const authority = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-set_serial', String(serial++), '-days', '1'];
    openssl('x509', '-req', '-in', `${base}.csr`, '-out', `${base}.crt`, ...authority, ...extensions);
    return readFileSync(`${base}.crt`, 'utf8');
  };
  return {
    certificate: readFileSync(at('ca.crt'), 'utf8'),
    fingerprint,
    issue: (name) => {
      openssl(
        'req',
        '-new',
        ...newKey,
        '-keyout',
        at(`${name}.key`),
        '-out',
        at(`${name}.csr`),
        '-subj',
        `/CN=${name}`,
      );
      return {
        key: readFileSync(at(`${name}.key`), 'utf8'),
        certificate: sign(readFileSync(at(`${name}.csr`), 'utf8'), name),
      };
    },
    sign: (csr) => sign(csr),
  };
}
