/** The certificate that a follower shows at its API is of the authority that the leader has now. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { Authority } from '../../src/auth/authority.ts';
import { FollowedAuthority } from '../../src/cluster/credentials.ts';
import { openApiCertificate } from '../../src/tls/open.ts';
import { temporaryFolder } from '../harness.ts';

test('the certificate of the API is made again when the files of another authority have come', async (t) => {
  const [data, other] = [temporaryFolder(t), temporaryFolder(t)];
  const first = await Authority.open(data, Date.now);
  const next = await Authority.open(other, Date.now);
  const followed = new FollowedAuthority(data, Date.now);
  const certificate = await openApiCertificate({
    listen: [{ scheme: 'https', host: '127.0.0.1', port: 0 }],
    tls: {},
    authority: async () => (await followed.open())!,
    data,
    events: { note: async () => undefined },
    log: createLog('controller', 'silent'),
    clock: Date.now,
  });
  assert.ok(certificate);
  t.after(() => certificate.close());
  const isOf = ({ pem }: Authority) =>
    new X509Certificate(certificate.current.certificate).verify(new X509Certificate(pem).publicKey);
  assert.deepEqual([isOf(first), isOf(next)], [true, false]);
  await certificate.look();
  assert.equal(isOf(first), true);
  for (const name of ['ca.key', 'ca.crt']) {
    copyFileSync(path.join(other, name), path.join(data, name));
  }
  await certificate.look();
  assert.deepEqual([isOf(first), isOf(next)], [false, true]);
});

test('a certificate of a controller with a clock hours ahead is good for one whose clock is right', async (t) => {
  const data = temporaryFolder(t);
  const now = Date.now();
  await Authority.open(data, () => now);
  const ahead = await Authority.open(data, () => now + 5 * 60 * 60 * 1000);
  const certificates = [await ahead.controllerCertificate(), await ahead.serverCertificate([])];
  for (const { certificate } of certificates) {
    assert.ok(Date.parse(new X509Certificate(certificate).validFrom) <= now);
  }
});

test('a certificate that a controller has made before its clock was set back is made again', async (t) => {
  const data = temporaryFolder(t);
  let now = Date.now();
  await Authority.open(data, () => now);
  const followed = new FollowedAuthority(data, () => now);
  const first = await followed.connectionOptions();
  assert.equal((await followed.connectionOptions())!.cert, first!.cert);
  now -= 5 * 60 * 60 * 1000;
  assert.notEqual((await followed.connectionOptions())!.cert, first!.cert);
});
