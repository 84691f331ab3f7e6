/** Join tokens, and the certificates that nodes get for them. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import test from 'node:test';
import { connect } from 'node:tls';
import { parseJoinToken } from '@mirrorplane/contract';
import { TOKEN_LIFETIME_MS } from '../src/auth/join-tokens.ts';
import { REPEAT_MS } from '../src/auth/node-certificates.ts';
import { Bench, certificateRequest } from './harness.ts';

async function start(t: test.TestContext): Promise<Bench> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  return bench;
}

test('a join token buys a certificate for its node, of the authority that the token names', async (t) => {
  const bench = await start(t);
  const { secret, fingerprint } = parseJoinToken(await bench.joinToken('node-1'));
  const { csr } = await certificateRequest('node-1');
  const { status, body } = await bench.enroll({ node: 'node-1', secret, csr });
  assert.equal(status, 200);
  const [certificate, authority] = [new X509Certificate(body.certificate), new X509Certificate(body.authority)];
  assert.equal(authority.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprint);
  assert.ok(certificate.verify(authority.publicKey));
  assert.equal(certificate.subject, 'CN=node-1');
  const days = (Date.parse(certificate.validTo) - Date.now()) / 86_400_000;
  assert.ok(days > 29 && days <= 30, `${days} days`);
  assert.equal(certificate.ca, false);
});

test('a join token is good once', async (t) => {
  const bench = await start(t);
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  const { csr } = await certificateRequest('node-1');
  const request = { node: 'node-1', secret, csr };
  const requests = await Promise.all(
    Array.from({ length: 5 }, async () => ({ ...request, csr: (await certificateRequest('node-1')).csr })),
  );
  const replies = await Promise.all(requests.map((one) => bench.enroll(one)));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 401, 401, 401, 401]);
  assert.equal((await bench.enroll(request)).body.code, 'UNAUTHENTICATED');
  // Only a fresh token enrols the node again.
  await bench.credentials('node-1');
});

const namesOf = ({ body }: { body: { certificate: string } }) => new X509Certificate(body.certificate).subjectAltName;

test('an answer that got lost comes once more for the same token and key, in the audit log too', async (t) => {
  const bench = await start(t);
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  const { csr } = await certificateRequest('node-1');
  const request = { node: 'node-1', secret, csr };
  const replies = await Promise.all(Array.from({ length: 3 }, () => bench.enroll(request)));
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(new Set(replies.map(namesOf)).size, 1, 'they are of one enrolment');
  await bench.restart();
  const late = await bench.enroll(request);
  assert.deepEqual([late.status, namesOf(late)], [200, namesOf(replies[0]!)]);
  const { items } = (await bench.get('/api/v1/audit?limit=4')).body;
  assert.deepEqual(
    items.map(({ action, outcome, detail }: Record<string, string>) => [action, outcome, / once more /.test(detail!)]),
    [
      ['enroll', 'done', true],
      ['enroll', 'done', true],
      ['enroll', 'done', true],
      ['enroll', 'done', false],
    ],
  );
  for (const wrong of [
    { ...request, csr: (await certificateRequest('node-1')).csr },
    { ...request, secret: 'x'.repeat(43) },
    { node: 'node-2', secret, csr: (await certificateRequest('node-2')).csr },
  ]) {
    assert.equal((await bench.enroll(wrong)).status, 401);
  }
  bench.ahead = REPEAT_MS + 60_000;
  assert.equal((await bench.enroll(request)).status, 401, 'after some minutes it is over');
});

test('an enrolment is not repeated after the node has enrolled otherwise, or was revoked or deleted', async (t) => {
  const bench = await start(t);
  const enrol = async (node: string) => {
    const { secret } = parseJoinToken(await bench.joinToken(node));
    const { csr } = await certificateRequest(node);
    const request = { node, secret, csr };
    assert.equal((await bench.enroll(request)).status, 200);
    return request;
  };
  const [one, two] = [await enrol('node-1'), await enrol('node-2')];
  await bench.credentials('node-1');
  assert.equal((await bench.enroll(one)).status, 401);
  await bench.must('POST', '/api/v1/nodes/node-2/revoke');
  assert.equal((await bench.enroll(two)).status, 401);
  const again = await enrol('node-2');
  await bench.must('DELETE', '/api/v1/nodes/node-2');
  await bench.must('PUT', '/api/v1/nodes/node-2', { pool: 'east' });
  assert.equal((await bench.enroll(again)).status, 401);
});

test('a node that the token of a pool lets in uses it once, also if it asks again', async (t) => {
  const bench = await start(t);
  const { token } = await bench.must('POST', '/api/v1/join-tokens', { pool: 'east', uses: 2 });
  const { secret } = parseJoinToken(token);
  const of = async (node: string) => ({ node, secret, csr: (await certificateRequest(node)).csr });
  const seven = await of('node-7');
  assert.deepEqual([(await bench.enroll(seven)).status, (await bench.enroll(seven)).status], [200, 200]);
  assert.equal((await bench.enroll(await of('node-7'))).status, 401);
  assert.equal((await bench.enroll(await of('node-8'))).status, 200);
  assert.equal((await bench.enroll(await of('node-9'))).status, 401);
});

test('a join token of another node, an unknown one and an expired one are refused in the same words', async (t) => {
  const bench = await start(t);
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  const [one, two] = [await certificateRequest('node-1'), await certificateRequest('node-2')];
  const details = new Set<string>();
  const refuse = async (body: object) => {
    const reply = await bench.enroll(body);
    assert.equal(reply.status, 401);
    details.add(reply.body.detail);
  };
  await refuse({ node: 'node-2', secret, csr: two.csr });
  await refuse({ node: 'node-3', secret, csr: (await certificateRequest('node-3')).csr });
  await refuse({ node: 'node-1', secret: 'x'.repeat(43), csr: one.csr });
  const { secret: unused } = parseJoinToken(await bench.joinToken('node-1'));
  bench.ahead = TOKEN_LIFETIME_MS - 60_000;
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr: one.csr })).status, 200);
  bench.ahead = TOKEN_LIFETIME_MS + 1000;
  await refuse({ node: 'node-1', secret: unused, csr: one.csr });
  bench.ahead = 0;
  await refuse({ node: 'node-1', secret: unused, csr: one.csr });
  assert.equal(details.size, 1);
});

test('a request that is damaged, forged or for another name is refused, and the token stays good', async (t) => {
  const bench = await start(t);
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  const { csr } = await certificateRequest('node-1');
  const der = Buffer.from(csr.replace(/-----.*-----|\s/g, ''), 'base64');
  der[der.length - 1]! ^= 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
  for (const wrong of ['no PEM', forged, (await certificateRequest('node-2')).csr]) {
    const reply = await bench.enroll({ node: 'node-1', secret, csr: wrong });
    assert.deepEqual([reply.status, reply.body.code], [400, 'BAD_REQUEST'], reply.text);
  }
  assert.equal((await bench.enroll({ node: 'node-1', secret })).status, 400);
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr })).status, 200);
  const { items } = (await bench.get('/api/v1/audit?limit=1')).body;
  assert.deepEqual([items[0].actor, items[0].outcome], ['node:node-1', 'done']);
});

test('deleting a node makes its join tokens useless', async (t) => {
  const bench = await start(t);
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  await bench.must('DELETE', '/api/v1/nodes/node-1');
  await bench.must('PUT', '/api/v1/nodes/node-1', { pool: 'east' });
  const { csr } = await certificateRequest('node-1');
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr })).status, 401);
  assert.equal((await bench.post('/api/v1/nodes/node-9/token')).status, 404);
});

test('the agents’ port proves to be "controller", and shows the authority before an agent knows it', async (t) => {
  const bench = await start(t);
  const { authority } = await bench.credentials('node-1');
  const { fingerprint } = parseJoinToken(await bench.joinToken('node-1'));
  const chain = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: bench.controller.agentPort, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate(true).issuerCertificate.fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
  assert.equal(chain.replaceAll(':', '').toLowerCase(), fingerprint);
  await new Promise<void>((resolve, reject) => {
    const options = { host: '127.0.0.1', port: bench.controller.agentPort, ca: authority, servername: 'controller' };
    const socket = connect(options, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
});
