/** How an agent joins, and to whom it does not show its secret. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatJoinToken } from '@mirrorplane/contract';
import {
  credentialsFit,
  EnrollmentError,
  enroll,
  loadCredentials,
  parseController,
} from '../src/controller-link/enroll.ts';
import { temporaryFolder, testAuthority } from './support.ts';
import { SECRET, TestController } from './test-controller.ts';

async function running(t: TestContext, controller = new TestController(testAuthority(t))) {
  await controller.start();
  t.after(() => controller.stop());
  const data = temporaryFolder(t);
  const join_ = (token = controller.token) => enroll({ node: 'node-1', controller: controller.address, token, data });
  return { controller, data, join: join_ };
}

test('a node that joins gets a certificate for the key that never left it', async (t) => {
  const { controller, data, join: enter } = await running(t);
  const credentials = await enter();
  const { key, certificate } = credentials;
  assert.ok(new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)));
  assert.equal(controller.enrolments[0]?.secret, SECRET);
  assert.doesNotMatch(JSON.stringify(controller.enrolments), /PRIVATE KEY/);
  assert.equal(statSync(join(data, 'node.key')).mode & 0o777, 0o600);
  assert.equal(readFileSync(join(data, 'ca.crt'), 'utf8'), controller.authority.certificate);
  assert.deepEqual(await loadCredentials(data, 'node-1'), credentials);
});

test('the secret is not sent to a controller of another authority', async (t) => {
  const { controller, join: enter } = await running(t);
  const token = formatJoinToken({ secret: SECRET, fingerprint: 'ab'.repeat(32) });
  await assert.rejects(enter(token), (error: Error) => {
    assert.ok(error instanceof EnrollmentError);
    assert.match(error.message, /the secret was not sent/);
    return true;
  });
  assert.deepEqual(controller.enrolments, []);
});

test('the secret is not sent to an impostor that shows the right authority beside its own certificate', async (t) => {
  const authority = testAuthority(t);
  const impostor = new TestController(testAuthority(t), 'controller', authority.certificate);
  const { join: enter } = await running(t, impostor);
  const token = formatJoinToken({ secret: SECRET, fingerprint: authority.fingerprint });
  await assert.rejects(enter(token), EnrollmentError);
  assert.deepEqual(impostor.enrolments, []);
});

test('the secret is not sent to another node of the same authority', async (t) => {
  const node = new TestController(testAuthority(t), 'node-7');
  const { join: enter } = await running(t, node);
  await assert.rejects(enter(), /certificate of .* is refused/);
  assert.deepEqual(node.enrolments, []);
});

test('a token that the controller does not know is refused with what the controller says', async (t) => {
  const { controller, data, join: enter } = await running(t);
  const token = formatJoinToken({
    secret: 'another-secret-of-some-length',
    fingerprint: controller.authority.fingerprint,
  });
  await assert.rejects(enter(token), /HTTP 403\): the join token is not known/);
  assert.equal(await loadCredentials(data, 'node-1'), undefined);
});

test('a controller that is not there is worth another attempt', async (t) => {
  const { controller, join: enter } = await running(t);
  await controller.stop();
  await assert.rejects(
    enter(),
    (error: Error) => !(error instanceof EnrollmentError) && /ECONNREFUSED/.test(error.message),
  );
});

test('the credentials of another node are not used', async (t) => {
  const { data, join: enter } = await running(t);
  await enter();
  await assert.rejects(loadCredentials(data, 'node-2'), /certificate of node "node-1", not of "node-2"/);
});

test('credentials fit until they expire, or until another token is given', async (t) => {
  const { controller, data, join: enter } = await running(t);
  const credentials = await enter();
  assert.deepEqual(await loadCredentials(data, 'node-1'), credentials);
  const other = formatJoinToken({ secret: 'x'.repeat(32), fingerprint: controller.authority.fingerprint });
  assert.equal(credentialsFit(credentials, undefined), true);
  assert.equal(credentialsFit(credentials, `${controller.token}\n`), true);
  assert.equal(credentialsFit(credentials, other), false);
  assert.equal(credentialsFit(credentials, undefined, new Date(Date.now() + 3 * 86_400_000)), false);
});

test('a controller is HOST:PORT, with brackets around an IPv6 address', () => {
  assert.deepEqual(parseController('10.99.0.1:8443'), { host: '10.99.0.1', port: 8443 });
  assert.deepEqual(parseController('[fd00::1]:8443'), { host: 'fd00::1', port: 8443 });
  for (const wrong of ['10.99.0.1', 'host:0', 'host:70000', 'fd00::1:8443', 'https://host:1']) {
    assert.throws(() => parseController(wrong), EnrollmentError, wrong);
  }
});
