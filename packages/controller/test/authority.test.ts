/** The authority, its rotation, and what a controller finds that was killed between two steps. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { verify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Authority } from '../src/auth/authority.ts';
import { certificateRequest, temporaryFolder } from './harness.ts';

const open = (folder: string) => Authority.open(folder, Date.now);

async function agentCertificate(authority: Authority): Promise<X509Certificate> {
  const { csr } = await certificateRequest('node-1');
  return new X509Certificate(await authority.signAgent({ csr, node: 'node-1', uid: 'u1', generation: 3, number: 14 }));
}

/** Whether the certificate is of the authority with this certificate. */
const isOf = (certificate: X509Certificate, pem: string) => certificate.verify(new X509Certificate(pem).publicKey);

/** A folder in the middle of a rotation, and the fingerprints of both authorities. */
async function rotating(t: TestContext) {
  const folder = temporaryFolder(t);
  const authority = await open(folder);
  const old = authority.fingerprint;
  await authority.rotate();
  return { folder, authority, old, next: authority.fingerprint };
}

test('of two rotations at once, one is refused, and nothing is dropped before there is another', async (t) => {
  const data = temporaryFolder(t);
  const authority = await Authority.open(data, Date.now);
  const first = authority.rotate();
  assert.ok(authority.isRotating);
  await assert.rejects(authority.drop(), /not being rotated/);
  await assert.rejects(authority.rotate(), /being rotated/);
  await first;
  const trusted = authority.trusted.map(({ fingerprint }) => fingerprint);
  const stored = (await Authority.open(data, Date.now)).trusted.map(({ fingerprint }) => fingerprint);
  assert.deepEqual([trusted.length, stored], [2, trusted]);
});

test('while the authority is rotated, both are trusted, the new one signs agents, and the old one the controller', async (t) => {
  const folder = temporaryFolder(t);
  const authority = await open(folder);
  const before = authority.pem;
  let changes = 0;
  authority.onChange(() => changes++);
  await authority.rotate();
  assert.notEqual(authority.pem, before);
  assert.equal(authority.trustedPem, authority.pem + before);
  const [agent, server] = [await agentCertificate(authority), await authority.serverCertificate([])];
  assert.deepEqual([isOf(agent, authority.pem), isOf(agent, before)], [true, false]);
  assert.ok(server.certificate.endsWith(before));
  assert.ok(isOf(new X509Certificate(server.certificate), before));
  const asked = await authority.serverCertificate([], authority.fingerprint);
  assert.ok(isOf(new X509Certificate(asked.certificate), authority.pem));
  await assert.rejects(authority.rotate(), /being rotated/);
  await authority.drop();
  assert.equal(authority.trustedPem, authority.pem);
  assert.ok(isOf(new X509Certificate((await authority.serverCertificate([])).certificate), authority.pem));
  assert.equal(authority.formerPem, before);
  await assert.rejects(authority.drop(), /not being rotated/);
  assert.equal(changes, 2);
  assert.deepEqual(readdirSync(folder).sort(), ['ca.crt', 'ca.key', 'former-ca.crt']);
});

test('a certificate of an agent says which one of its node it is', async (t) => {
  const certificate = await agentCertificate(await open(temporaryFolder(t)));
  assert.match(certificate.subjectAltName ?? '', /URI:urn:mirrorplane:node:u1, URI:urn:mirrorplane:certificate:3\.14$/);
});

test('what the authority signs, openssl verifies with its certificate', async (t) => {
  const authority = await open(temporaryFolder(t));
  const data = Buffer.from('a head of the audit log');
  const { signature, fingerprint } = await authority.sign(data);
  const key = new X509Certificate(authority.pem).publicKey;
  const verified = (text: Buffer) => verify('sha256', text, key, signature);
  assert.deepEqual([verified(data), verified(Buffer.from('another head'))], [true, false]);
  assert.equal(fingerprint, authority.fingerprint);
});

test('a rotation goes on after a restart, at each step at which the controller can be killed', async (t) => {
  const { folder, old, next } = await rotating(t);
  const state = async (change: (at: string) => void) => {
    const at = temporaryFolder(t);
    cpSync(folder, at, { recursive: true });
    change(at);
    return (await open(at)).trusted.map(({ fingerprint }) => fingerprint);
  };
  assert.deepEqual(await state(() => undefined), [next, old]);
  // While it begins: the new key is there, and its certificate is not.
  assert.deepEqual(await state((at) => rmSync(join(at, 'next-ca.crt'))), [old]);
  // While it ends: the old certificate is kept, then the key is renamed, then the certificate.
  const kept = (at: string) => writeFileSync(join(at, 'former-ca.crt'), readFileSync(join(at, 'ca.crt')));
  assert.deepEqual(await state(kept), [next, old]);
  const renamed = (at: string) => {
    kept(at);
    renameSync(join(at, 'next-ca.key'), join(at, 'ca.key'));
  };
  assert.deepEqual(await state(renamed), [next]);
});

test('an authority whose key is that of another one is not used', async (t) => {
  const { folder } = await rotating(t);
  renameSync(join(folder, 'next-ca.key'), join(folder, 'ca.key'));
  rmSync(join(folder, 'next-ca.crt'));
  await assert.rejects(open(folder), /does not belong to its certificate/);
});

test('a controller that is killed at any moment of many rotations finds an authority that it had', async (t) => {
  const folder = temporaryFolder(t);
  const seen = new Set([(await open(folder)).fingerprint]);
  for (let run = 0; run < 3; run++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'authority-writer.ts'), folder]);
    t.after(() => child.kill('SIGKILL'));
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
    });
    await until('some rotations', () => text.split('\n').length > 2 + Math.random() * 5);
    child.kill('SIGKILL');
    await once(child, 'close');
    for (const line of text.split('\n')) {
      seen.add(line);
    }
    // The last authority may have been made, and its line not written.
    const authority = await open(folder);
    const [signing, ...others] = authority.trusted.map(({ fingerprint }) => fingerprint);
    assert.ok(
      others.every((fingerprint) => seen.has(fingerprint)),
      others.join(),
    );
    assert.ok(seen.has(signing!) || authority.isRotating);
    await agentCertificate(authority);
    seen.add(signing!);
  }
});
