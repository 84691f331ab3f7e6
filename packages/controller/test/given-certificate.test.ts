/** Certificates of an operator, made by openssl: what is refused, and what happens when they change. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { until } from '@mirrorplane/base';
import { checkCertificate } from '../src/tls/check-certificate.ts';
import { givenCertificate } from '../src/tls/given-certificate.ts';
import { Bench, temporaryFolder } from './harness.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** A root, an intermediate and certificates below it, as a company has them. */
class Company {
  readonly folder: string;

  constructor(t: TestContext) {
    this.folder = temporaryFolder(t);
    this.#openssl('req', '-x509', '-nodes', ...NEW_KEY, '-keyout', 'root.key', '-out', 'root.crt', '-subj', '/CN=Root');
    this.issue('sub', { by: 'root', extensions: 'basicConstraints=critical,CA:TRUE' });
  }

  /** Makes NAME.key and NAME.crt. */
  issue(name: string, { by = 'sub', days = 90, extensions = 'subjectAltName=IP:127.0.0.1,DNS:mirror.example' } = {}) {
    this.#openssl(
      'req',
      '-new',
      '-nodes',
      ...NEW_KEY,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    );
    writeFileSync(this.file(`${name}.ext`), extensions);
    const signed = ['-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', `${days}`];
    this.#openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-extfile', `${name}.ext`, '-out', `${name}.crt`);
    return this;
  }

  encrypt(name: string): void {
    this.#openssl('pkey', '-in', `${name}.key`, '-aes256', '-passout', 'pass:secret', '-out', `${name}-locked.key`);
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** The contents of files, one behind the other. */
  read(...names: string[]): string {
    return names.map((name) => readFileSync(this.file(name), 'utf8')).join('');
  }

  /** Makes api.pem and api.key what the controller reads. */
  deploy(name: string): { certificate: string; key: string } {
    writeFileSync(this.file('api.key'), this.read(`${name}.key`), { mode: 0o600 });
    writeFileSync(this.file('api.pem'), this.read(`${name}.crt`, 'sub.crt'));
    return { certificate: this.file('api.pem'), key: this.file('api.key') };
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'ignore' });
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

test('a certificate that clients would refuse is refused before, with what to do', (t) => {
  const company = new Company(t).issue('api').issue('other');
  company.issue('person', { extensions: 'extendedKeyUsage=clientAuth' });
  company.encrypt('api');
  const { read } = company;
  const of = (...names: string[]) => read.apply(company, names);
  const check = (certificate: string, key: string, ahead = 0) =>
    checkCertificate({ certificate, key }, Date.now() + ahead);
  const good = check(of('api.crt', 'sub.crt'), of('api.key'));
  assert.ok(Math.abs(good.endsAt - Date.now() - 90 * DAY_MS) < DAY_MS);
  assert.doesNotThrow(() => check(of('api.crt'), of('api.key')), 'the authority need not be in it');
  const cases: [certificate: string, key: string, message: RegExp, ahead?: number][] = [
    [of('api.crt', 'sub.crt'), of('other.key'), /is not for the key of --tls-key/],
    [of('sub.crt', 'api.crt'), of('api.key'), /wrong order: put the certificate of the key first/],
    [of('api.crt', 'root.crt', 'sub.crt'), of('api.key'), /wrong order: number 1 was not signed by number 2/],
    [of('api.crt', 'other.crt'), of('api.key'), /number 1 was not signed by number 2/],
    [of('api.crt'), of('api.key'), /has ended: "CN=api" was good until/, 91 * DAY_MS],
    [of('api.crt'), of('api.key'), /is not good yet: .* Check the clock/, -DAY_MS],
    [of('person.crt'), of('person.key'), /is not for servers/],
    [of('api.crt'), of('api-locked.key'), /has a passphrase/],
    [of('api.crt'), of('api.crt'), /has no key in PEM/],
    [of('api.key'), of('api.key'), /has no certificate in PEM/],
    [
      of('api.crt')
        .replace(/[A-Z]{3}/, 'xxx')
        .replace('M', 'N'),
      of('api.key'),
      /certificate/,
    ],
  ];
  for (const [certificate, key, message, ahead] of cases) {
    assert.throws(() => check(certificate, key, ahead), message);
  }
});

test('files that change are taken, and a fault that stays is told once while the ones before stay', async (t) => {
  const company = new Company(t).issue('first').issue('second');
  const files = company.deploy('first');
  const told: string[] = [];
  const source = givenCertificate({
    ...files,
    clock: Date.now,
    replaced: () => told.push('replaced'),
    refused: ({ message }) => told.push(message),
  });
  assert.equal(await source.next(), undefined);
  writeFileSync(files.certificate, company.read('second.crt', 'sub.crt'));
  assert.equal(await source.next(), undefined, 'its key has not come yet');
  assert.deepEqual(told, []);
  writeFileSync(files.key, company.read('second.key'));
  assert.equal((await source.next())?.key, company.read('second.key').trim());
  assert.deepEqual(told, ['replaced']);
  writeFileSync(files.certificate, 'half a fi');
  for (let looks = 0; looks < 4; looks++) {
    assert.equal(await source.next(), undefined);
  }
  assert.equal(told.length, 2);
  assert.match(told[1]!, /api\.pem has no certificate in PEM/);
});

test('a controller serves the chain of an operator, and the next one without a restart while connections go on', async (t) => {
  const company = new Company(t).issue('first').issue('second');
  const files = company.deploy('first');
  const listen = ['127.0.0.1:0', 'https://127.0.0.1:0'];
  const bench = await Bench.start(t, 0, { listen, tls: { files } });
  const at = {
    host: '127.0.0.1',
    port: Number(new URL(bench.controller.addresses[1]!).port),
    ca: company.read('root.crt'),
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  /** Asks once, by the connection of `by`: whether it was open before, and whose certificate it has. */
  const ask = (by: Agent | false) =>
    new Promise<{ reused: boolean; subject: string | undefined }>((resolve, reject) => {
      const asked = request({ ...at, path: '/healthz', agent: by }, (response) => {
        const subject = (response.socket as TLSSocket).getPeerX509Certificate()?.subject;
        response.resume().once('end', () => resolve({ reused: asked.reusedSocket, subject }));
      });
      asked.once('error', reject).end();
    });
  assert.deepEqual(await ask(agent), { reused: false, subject: 'CN=first' });
  company.deploy('second');
  await until('the second one is shown', async () => (await ask(false)).subject === 'CN=second', { limitMs: 30_000 });
  assert.equal((await ask(agent)).reused, true);
  writeFileSync(files.certificate, 'half a fi');
  const refused = async () => (await bench.get('/api/v1/events?kind=certificateRefused')).body.items;
  const [{ message }] = await until(
    'the fault is told',
    async () => {
      const items = await refused();
      return items.length > 0 && items;
    },
    { limitMs: 30_000 },
  );
  assert.match(message, /^the certificate before stays in use: .*api\.pem has no certificate in PEM/);
  assert.equal((await ask(false)).subject, 'CN=second');
  chmodSync(files.key, 0o644);
  await assert.rejects(bench.restart(), /api\.key is too open for the key of the API \(mode 0644\).*chmod 600/);
});
