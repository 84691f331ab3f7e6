/** Join tokens: for a node or a pool, with a life, listed without their secrets, and revoked. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseJoinToken } from '@mirrorplane/contract';
import { Bench, certificateRequest, type Reply, refusals } from './harness.ts';

const TOKENS = '/api/v1/join-tokens';

async function start(t: TestContext): Promise<Bench> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  return bench;
}

async function joinWith(bench: Bench, token: string, node: string): Promise<Reply> {
  const { csr } = await certificateRequest(node);
  return bench.enroll({ node, secret: parseJoinToken(token).secret, csr });
}

test('the token of a pool registers as many nodes as it has uses, and takes the place of none', async (t) => {
  const bench = await start(t);
  await bench.credentials('node-1');
  const { id, token } = await bench.must('POST', TOKENS, { pool: 'east', uses: 3, lifetimeSeconds: 7200 });
  const taken = await joinWith(bench, token, 'node-1');
  assert.equal(taken.status, 401);
  assert.match(
    taken.body.detail,
    /does not admit "node-1": a node of this name has joined before: .*node token node-1/,
  );
  assert.equal((await joinWith(bench, token, 'node-2')).status, 200);
  assert.equal((await bench.get('/api/v1/nodes/node-2')).body.pool, 'east');
  // Registered by an operator, and not joined yet.
  await bench.must('PUT', '/api/v1/nodes/node-3', { pool: 'east' });
  assert.equal((await joinWith(bench, token, 'node-3')).status, 200);
  await bench.must('PUT', '/api/v1/pools/west', { domain: 'blue' });
  await bench.must('PUT', '/api/v1/nodes/node-4', { pool: 'west' });
  assert.match((await joinWith(bench, token, 'node-4')).body.detail, /in another pool/);
  const [item] = (await bench.get(TOKENS)).body.items;
  assert.deepEqual([item.id, item.uses], [id, 1]);
  const both = await Promise.all(['node-5', 'node-6'].map((node) => joinWith(bench, token, node)));
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 401]);
  assert.deepEqual((await bench.get(TOKENS)).body.items, []);
  const nodes = (await bench.get('/api/v1/nodes')).body.items.map(({ name }: { name: string }) => name);
  assert.equal(nodes.length, 5, nodes.join());
});

test('a list has the id, the owner, the life and the uses of each token, and no secret; nor has a file', async (t) => {
  const bench = await start(t);
  const made = await bench.must('POST', TOKENS, { node: 'node-1', lifetimeSeconds: 600 });
  const { secret, fingerprint } = parseJoinToken(made.token);
  const { text, body } = await bench.get(TOKENS);
  assert.ok(!text.includes(secret));
  const [{ createdAt, expiresAt, ...item }] = body.items;
  assert.deepEqual(item, { id: made.id, node: 'node-1', uses: 1, createdBy: 'admin', authority: fingerprint });
  assert.equal(Date.parse(expiresAt) - Date.parse(createdAt), 600_000);
  await bench.restart();
  assert.equal((await bench.get(TOKENS)).body.items[0].id, made.id);
  for (const name of readdirSync(bench.data, { recursive: true, withFileTypes: true })) {
    if (name.isFile()) {
      assert.ok(!readFileSync(join(name.parentPath, name.name)).includes(secret), name.name);
    }
  }
});

test('a token ends with its life, or when it is revoked, or with its pool', async (t) => {
  const bench = await start(t);
  const short = await bench.must('POST', TOKENS, { node: 'node-1', lifetimeSeconds: 60 });
  bench.ahead = 60_000;
  assert.equal((await joinWith(bench, short.token, 'node-1')).status, 401);
  assert.deepEqual((await bench.get(TOKENS)).body.items, []);
  const revoked = await bench.must('POST', TOKENS, { node: 'node-1' });
  await bench.must('DELETE', `${TOKENS}/${revoked.id}`);
  assert.equal((await bench.request('DELETE', `${TOKENS}/${revoked.id}`)).status, 404);
  assert.equal((await joinWith(bench, revoked.token, 'node-1')).status, 401);
  await bench.must('PUT', '/api/v1/pools/west', { domain: 'blue' });
  const ofPool = await bench.must('POST', TOKENS, { pool: 'west', uses: 1 });
  await bench.must('DELETE', '/api/v1/pools/west');
  await bench.must('PUT', '/api/v1/domains/green', {});
  await bench.must('PUT', '/api/v1/pools/west', { domain: 'green' });
  assert.equal((await joinWith(bench, ofPool.token, 'node-9')).status, 401, 'another pool of the same name');
  const lines = (await bench.get('/api/v1/audit')).body.items.map(
    ({ action, resource, actor }: Record<string, string>) => `${action} ${resource} ${actor}`,
  );
  assert.ok(lines.includes(`revoke joinTokens/${revoked.id} admin`), lines.join('\n'));
});

test('revoking or deleting a node ends the token that has let it in, which the audit log names', async (t) => {
  const bench = await start(t);
  for (const node of ['node-7', 'node-8']) {
    const { id, token } = await bench.must('POST', TOKENS, { pool: 'east', uses: 9 });
    const other = await bench.must('POST', TOKENS, { pool: 'east', uses: 9 });
    assert.equal((await joinWith(bench, token, node)).status, 200);
    const [entry] = (await bench.get('/api/v1/audit?filter=action:enroll')).body.items;
    assert.deepEqual([entry.resource, entry.detail], [`nodes/${node}`, `by the join token ${id}`]);
    // It joins again with a token of its own. Its host still has the first one.
    assert.equal((await joinWith(bench, await bench.joinToken(node), node)).status, 200);
    if (node === 'node-7') {
      await bench.must('POST', `/api/v1/nodes/${node}/revoke`);
    } else {
      await bench.must('DELETE', `/api/v1/nodes/${node}`);
    }
    assert.equal((await joinWith(bench, token, node)).status, 401);
    assert.equal((await joinWith(bench, token, `${node}-again`)).status, 401);
    assert.equal((await joinWith(bench, other.token, `${node}-other`)).status, 200, 'that of another host stays');
  }
});

test('a token ends with what has made it', async (t) => {
  const bench = await start(t);
  const names = ['stays', 'revoked'];
  const made = new Map<string, string>();
  for (const name of names) {
    const { token } = await bench.must('POST', '/api/v1/tokens', {
      name,
      expiresAt: 'never',
      grants: [{ role: 'admin' }],
    });
    const reply = await bench.request('POST', TOKENS, { pool: 'east', uses: 9 }, { token });
    assert.equal(reply.status, 201, reply.text);
    made.set(name, reply.body.token);
    assert.equal((await joinWith(bench, reply.body.token, `${name}-1`)).status, 200);
  }
  await bench.must('DELETE', '/api/v1/tokens/revoked');
  assert.equal((await joinWith(bench, made.get('revoked')!, 'revoked-2')).status, 401);
  assert.equal((await joinWith(bench, made.get('stays')!, 'stays-2')).status, 200);
  assert.equal((await bench.get(TOKENS)).body.items.length, 1, 'one that cannot be used is not listed');
});

test('a token is for a node or for a pool, with uses and a life within bounds', async (t) => {
  const bench = await start(t);
  const refused = async (body: unknown) => refusals(await bench.post(TOKENS, body));
  assert.deepEqual(await refused({}), ['FIELD_INVALID node']);
  assert.deepEqual(await refused({ node: 'node-1', pool: 'east', uses: 1 }), ['FIELD_INVALID node']);
  assert.deepEqual(await refused({ pool: 'east' }), ['FIELD_INVALID uses']);
  assert.deepEqual(await refused({ node: 'node-1', uses: 2 }), ['FIELD_INVALID uses']);
  assert.deepEqual(await refused({ pool: 'east', uses: 1001 }), ['FIELD_INVALID uses']);
  for (const lifetimeSeconds of [59, 30 * 86_400 + 1]) {
    assert.deepEqual(await refused({ node: 'node-1', lifetimeSeconds }), ['FIELD_INVALID lifetimeSeconds']);
  }
  assert.equal((await bench.post(TOKENS, { node: 'node-9' })).status, 404);
  assert.equal((await bench.post(TOKENS, { pool: 'none', uses: 1 })).status, 404);
  assert.deepEqual((await bench.post(`${TOKENS}?dryRun=true`, { node: 'node-1' })).body, {});
  assert.deepEqual((await bench.get(TOKENS)).body.items, []);
});
