/** The command and a controller with TLS: it speaks only with the one that is known. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Controller } from './controller.ts';
import { type Result, run } from './run.ts';

describe('a command and a controller with TLS', () => {
  const controller = new Controller();
  let url: string;
  let authority: string;
  /** As openssl prints it: capitals with colons. */
  let fingerprint: string;
  /** The whole line of openssl. */
  let line: string;

  before(async () => {
    await controller.start('--log-level', 'info', '--listen', 'https://127.0.0.1:0');
    url = /https:\/\/127\.0\.0\.1:\d+/.exec(controller.log)![0];
    authority = join(controller.folder, 'data/ca.crt');
    const printed = execFileSync('openssl', ['x509', '-in', authority, '-noout', '-fingerprint', '-sha256']);
    line = String(printed);
    fingerprint = /=(.*)/.exec(line)![1]!;
  });
  after(() => controller.close());

  const list = (more: string[] = [], env: Record<string, string> = {}): Promise<Result> =>
    run(['domain', 'list', ...more], {
      env: { MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN_FILE: controller.tokenFile, ...env },
    });

  it('works with the fingerprint of the log or of openssl, or with the file of the authority', async () => {
    const [, logged] = /"fingerprint":"([0-9a-f]{64})"/.exec(controller.log) ?? [];
    const ways: [string[], Record<string, string>?][] = [
      [['--fingerprint', logged!]],
      [['--fingerprint', fingerprint]],
      [['--fingerprint', line]],
      [['--fingerprint', line.toUpperCase()]],
      [['--fingerprint', fingerprint.toLowerCase()]],
      [['--fingerprint', logged!.toUpperCase()]],
      [['--fingerprint', `SHA256:${logged},SHA-256 Fingerprint = ${fingerprint}`]],
      [['--fingerprint', `${'0'.repeat(64)},sha256:${logged}`]],
      [[], { MIRRORPLANE_FINGERPRINT: fingerprint }],
      [['--ca-file', authority]],
      [['--ca-file', authority, '--fingerprint', fingerprint]],
      [[], { MIRRORPLANE_CA_FILE: authority }],
    ];
    for (const [options, env] of ways) {
      const { code, stderr } = await list(options, env);
      assert.deepEqual([code, stderr], [0, ''], options.join(' '));
    }
    const printed = await run(['console', '--fingerprint', fingerprint], {
      env: { MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN_FILE: controller.tokenFile },
    });
    assert.ok(printed.stdout.startsWith(`${url}/#ticket=`), printed.stdout);
  });

  it('shows the fingerprint of an authority that is not known, and how to compare it', async () => {
    const { code, stderr } = await list();
    assert.equal(code, 7);
    assert.match(stderr, /has a certificate of an authority that is not known here/);
    assert.ok(stderr.includes(fingerprint), stderr);
    assert.match(stderr, /openssl x509 -in .*ca\.crt[\s\S]*--fingerprint/);
  });

  it('says of another authority that someone else may be in between', async () => {
    const { code, stderr } = await list(['--fingerprint', 'ab'.repeat(32)]);
    assert.equal(code, 7);
    assert.match(stderr, /is not the one that is known here: someone else may be in between, and nothing was sent/);
    assert.ok(stderr.includes(`known: ${'AB:'.repeat(31)}AB`) && stderr.includes(`seen:  ${fingerprint}`), stderr);
  });

  it('names the other names of a certificate, and takes them in the URL', async () => {
    const port = new URL(url).port;
    const other = await list(['--url', `https://127.0.0.2:${port}`, '--fingerprint', fingerprint]);
    // Nobody listens on 127.0.0.2.
    assert.match(other.stderr, /nothing listens there/);
    const named = ['--url', `https://localhost:${port}`, '--fingerprint', fingerprint];
    assert.equal((await list([...named, '--token-file', controller.tokenFile])).code, 0);
    const bound = await list(named);
    assert.equal(bound.code, 6, 'the token of the environment is for the URL beside it');
    assert.match(bound.stderr, /the token of the environment is for https:\/\/127/);
  });

  it('says which side speaks TLS, and which does not', async () => {
    const plain = await list(['--url', url.replace('https', 'http')]);
    assert.deepEqual(
      [plain.code, plain.stderr.includes(`this port speaks TLS, and the request is plain HTTP: use ${url}`)],
      [3, true],
      plain.stderr,
    );
    const bad = await list(['--fingerprint', 'abc']);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /"abc" is no fingerprint: it has 64 hexadecimal digits/);
    const useless = await list(['--url', 'http://192.0.2.1:7070', '--fingerprint', fingerprint]);
    assert.match(useless.stderr, /shows no certificate, so a fingerprint says nothing: use https:/);
  });
});

describe('a command and a certificate that is not good', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-cli-trust-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What a command says to a server with such a certificate; the server counts requests. */
  async function meets(subjectAltName: string, ...validity: string[]): Promise<{ stderr: string; requests: number }> {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
    openssl('req', '-new', ...key, '-out', 'csr.pem', '-subj', '/CN=test');
    writeFileSync(join(folder, 'ext'), `subjectAltName=${subjectAltName}`);
    openssl('x509', '-req', '-in', 'csr.pem', '-signkey', 'key.pem', '-extfile', 'ext', '-out', 'crt.pem', ...validity);
    const read = (name: string) => readFileSync(join(folder, name));
    let requests = 0;
    const server = createServer({ key: read('key.pem'), cert: read('crt.pem') }, (_request, response) => {
      requests++;
      response.end('{}');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const { port } = server.address() as AddressInfo;
      const env = { MIRRORPLANE_URL: `https://127.0.0.1:${port}`, MIRRORPLANE_TOKEN: 'secret' };
      const { stderr } = await run(['domain', 'list', '--ca-file', join(folder, 'crt.pem')], { env });
      return { stderr, requests };
    } finally {
      server.close();
    }
  }

  it('sends no token where the certificate has ended, or is for another name', async () => {
    const ended = await meets('IP:127.0.0.1', '-days', '-1');
    assert.match(ended.stderr, /has a certificate that has ended\n/);
    const other = await meets('DNS:mirror.example', '-days', '1');
    assert.match(other.stderr, /has a certificate for other names than 127\.0\.0\.1[\s\S]*--tls-name/);
    assert.deepEqual([ended.requests, other.requests], [0, 0]);
    const good = await meets('IP:127.0.0.1', '-days', '1');
    assert.equal(good.requests, 1);
  });
});
