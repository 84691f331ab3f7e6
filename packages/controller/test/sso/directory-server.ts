/** A directory on loopback: `slapd` of OpenLDAP with people and groups, in a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { temporaryFolder } from '../harness.ts';

export const BASE = 'dc=example,dc=com';
export const ACCOUNT = { dn: `cn=mirrorplane,${BASE}`, password: 'of the account' };
/** Each person's password. */
export const passwordOf = (uid: string) => `password of ${uid}`;

/** uid, and the groups of that person. */
const PEOPLE: Readonly<Record<string, string[]>> = {
  anna: ['mirror-admins', 'staff'],
  otto: ['Net Ops (East)'],
  nobody: ['staff'],
  'o*o': ['staff'],
  lonely: [],
  // Nobody but the test of certificates uses this one.
  careful: ['staff'],
};

export class DirectoryServer {
  /** `ldap://127.0.0.1:PORT` and `ldaps://127.0.0.1:PORT`. */
  readonly plain: string;
  readonly tls: string;
  /** Certificate of the authority that signed the server's, as PEM. */
  readonly ca: string;
  readonly #process: ChildProcess;
  #log = '';

  private constructor(process: ChildProcess, ports: [number, number], ca: string) {
    this.#process = process;
    this.plain = `ldap://127.0.0.1:${ports[0]}`;
    this.tls = `ldaps://127.0.0.1:${ports[1]}`;
    this.ca = ca;
    process.stderr!.on('data', (text) => {
      this.#log += text;
    });
  }

  static async start(t: TestContext): Promise<DirectoryServer> {
    const folder = temporaryFolder(t);
    const ca = makeCertificates(folder);
    const file = path.join(folder, 'slapd.conf');
    mkdirSync(path.join(folder, 'db'));
    writeFileSync(file, configuration(folder));
    writeFileSync(path.join(folder, 'data.ldif'), entries());
    execFileSync(program('slapadd'), ['-f', file, '-l', path.join(folder, 'data.ldif')], { stdio: 'pipe' });
    const ports: [number, number] = [await freePort(), await freePort()];
    const urls = `ldap://127.0.0.1:${ports[0]} ldaps://127.0.0.1:${ports[1]}`;
    // With -d it stays in the foreground; 256 logs connections, operations and results.
    const child = spawn(program('slapd'), ['-f', file, '-h', urls, '-d', '256'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const self = new DirectoryServer(child, ports, ca);
    t.after(() => self.close());
    await until('slapd to listen', async () => (await answers(ports[0])) && (await answers(ports[1])));
    return self;
  }

  /** What it has logged, after all connections were closed. */
  get log(): string {
    return this.#log;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await ended;
    }
  }
}

function program(name: string): string {
  const file = `/usr/sbin/${name}`;
  return existsSync(file) ? file : name;
}

/** An authority, and a certificate of 127.0.0.1 alone. Returns the authority's. */
function makeCertificates(folder: string): string {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' }).toString();
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=authority of the test');
  openssl(
    ...['req', '-x509', ...key, '-keyout', 'server.key', '-out', 'server.crt', '-subj', '/CN=directory'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-CA', 'ca.crt', '-CAkey', 'ca.key'],
  );
  return openssl('x509', '-in', 'ca.crt');
}

function configuration(folder: string): string {
  return `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile ${folder}/slapd.pid
TLSCACertificateFile ${folder}/ca.crt
TLSCertificateFile ${folder}/server.crt
TLSCertificateKeyFile ${folder}/server.key
# As some directories do: a name and no password is confirmed, and means nobody.
allow bind_anon_dn
database mdb
maxsize 10485760
suffix "${BASE}"
directory ${folder}/db
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn="${ACCOUNT.dn}" read by self read by anonymous auth by * none
`;
}

function entries(): string {
  const groups = [...new Set(Object.values(PEOPLE).flat())];
  const entry = (dn: string, ...lines: string[]) => [`dn: ${dn}`, ...lines, ''].join('\n');
  const dnOf = (uid: string) => `uid=${uid},ou=people,${BASE}`;
  return [
    entry(BASE, 'objectClass: dcObject', 'objectClass: organization', 'o: Example', 'dc: example'),
    entry(`ou=people,${BASE}`, 'objectClass: organizationalUnit', 'ou: people'),
    entry(`ou=groups,${BASE}`, 'objectClass: organizationalUnit', 'ou: groups'),
    entry(
      ACCOUNT.dn,
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: mirrorplane',
      `userPassword: ${ACCOUNT.password}`,
    ),
    ...Object.entries(PEOPLE).map(([uid, theirs]) =>
      entry(
        dnOf(uid),
        ...[
          'objectClass: inetOrgPerson',
          `uid: ${uid}`,
          `cn: ${uid}`,
          `sn: ${uid}`,
          `displayName: The ${uid}`,
          `userPassword: ${passwordOf(uid)}`,
        ],
        // Two people have the same name there.
        `employeeType: ${uid === 'anna' || uid === 'otto' ? 'same' : uid}`,
        ...theirs.map((group) => `memberOf: cn=${group},ou=groups,${BASE}`),
      ),
    ),
    ...groups.map((group) =>
      entry(
        `cn=${group},ou=groups,${BASE}`,
        ...['objectClass: groupOfNames', `cn: ${group}`],
        ...Object.keys(PEOPLE)
          .filter((uid) => PEOPLE[uid]!.includes(group))
          .map((uid) => `member: ${dnOf(uid)}`),
      ),
    ),
  ].join('\n');
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
