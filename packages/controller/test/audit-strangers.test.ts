/** Refusals cannot push other entries out of the audit log: those of strangers are summed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import test from 'node:test';
import type { AuditDraft, AuditEntry } from '@mirrorplane/contract';
import { RefusedEntries } from '../src/audit/refused-entries.ts';
import { Bench } from './harness.ts';

/** Requests without a token. The test of long runs sends a hundred thousand. */
const REQUESTS = Number(process.env.REFUSED ?? 4000);
const CONNECTIONS = 4;

const refusal = (more: Partial<AuditDraft> = {}): AuditDraft => ({
  actor: 'unknown',
  actorKind: 'stranger',
  address: '192.0.2.1',
  action: 'request',
  resource: 'GET /api/v1/policies',
  outcome: 'refused',
  code: 'UNAUTHENTICATED',
  ...more,
});

/** Sends requests on one connection, some at once. Resolves with the number of answers of 401. */
function strangers(port: number, requests: number): Promise<number> {
  const text = `GET /api/v1/policies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${'0'.repeat(20)}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let [sent, answered] = [0, 0];
    const more = () => {
      const count = Math.min(20, requests - sent);
      sent += count;
      socket.write(text.repeat(count));
    };
    socket.on('connect', more).on('error', reject);
    socket.setEncoding('latin1').on('data', (data: string) => {
      answered += data.split('HTTP/1.1 401 ').length - 1;
      if (answered === requests) {
        socket.destroy();
        resolve(answered);
      } else if (answered >= sent) {
        more();
      }
    });
  });
}

test(`${REQUESTS} refused requests of strangers are few entries with their number, and others stay`, async (t) => {
  const bench = await Bench.start(t, 0, { audit: { fileBytes: 20_000, keepBytes: 100_000 } });
  await bench.cluster('node-1');
  const port = Number(bench.controller.addresses[0]!.split(':')[1]);
  const lines = () => readFileSync(path.join(bench.data, 'audit.log'), 'utf8').trimEnd().split('\n');
  const before = lines().length;
  const answers = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => strangers(port, Math.ceil(REQUESTS / CONNECTIONS))),
  );
  assert.ok(answers.reduce((sum, one) => sum + one, 0) >= REQUESTS);
  // One at once, and one for each minute that it took.
  assert.ok(lines().length - before < 10, `${lines().length - before} lines`);
  await bench.controller.close();
  const entries = lines().map((line) => JSON.parse(line) as AuditEntry);
  const summed = entries.filter(({ actorKind }) => actorKind === 'stranger');
  assert.equal(
    summed.reduce((sum, { count = 1 }) => sum + count, 0),
    REQUESTS,
    'each refusal is counted',
  );
  const { actor, address, code, resource } = summed[0]!;
  const expected = ['unknown', '127.0.0.1', 'UNAUTHENTICATED', 'GET /api/v1/policies'];
  assert.deepEqual([actor, address, code, resource], expected);
  assert.ok(entries.some((entry) => entry.resource === 'domains/blue'));
});

test('a request beyond the rights of its sender is in the log with who it was', async (t) => {
  const bench = await Bench.start(t);
  const token = readFileSync(path.join(bench.data, 'read-token'), 'utf8').trim();
  assert.equal((await bench.request('PUT', '/api/v1/domains/blue?dryRun=true', {}, { token })).status, 403);
  const { items } = (await bench.get('/api/v1/audit?limit=1')).body as { items: AuditEntry[] };
  const { actor, actorKind, action, resource, outcome, code } = items[0]!;
  assert.deepEqual(
    [actor, actorKind, action, resource, outcome, code],
    ['read', 'token', 'request', 'PUT /api/v1/domains/blue', 'refused', 'FORBIDDEN'],
  );
});

/** Entries that are written as their budgets allow, by a clock of the test. */
function budgeted() {
  const written: AuditDraft[] = [];
  let now = 0;
  const refused = new RefusedEntries({
    append: async (draft) => void written.push(draft),
    failed: (error) => assert.ifError(error),
    now: () => now,
  });
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { written, refused, pass };
}

test('strangers share a budget that users do not, it grows slowly, and nothing that was refused is forgotten', async () => {
  const { written, refused, pass } = budgeted();
  const count = (of: (draft: AuditDraft) => boolean) =>
    written.filter(of).reduce((sum, { count: one = 1 }) => sum + one, 0);
  for (let at = 0; at < 5000; at++) {
    await refused.add(refusal({ address: `192.0.2.${at % 250}` }));
    pass(10);
  }
  assert.equal(written.length, 60);
  await refused.add(refusal({ actor: 'ann', actorKind: 'user', code: 'FORBIDDEN' }));
  assert.deepEqual([written.at(-1)?.actor, written.at(-1)?.count], ['ann', undefined]);
  pass(600_000);
  await refused.add(refusal({ action: 'signIn' }));
  await refused.add(refusal(), 40);
  refused.close();
  assert.equal(written.length, 60 + 1 + 1 + 1);
  assert.deepEqual([count(({ action }) => action === 'signIn'), count(({ actor }) => actor === 'unknown')], [1, 5041]);
});

test('an entry for several refusals names some of the things that they were about', async () => {
  const { written, refused, pass } = budgeted();
  const ann = (at: number) => refusal({ actor: 'ann', actorKind: 'user', action: 'test', resource: `policies/p${at}` });
  for (let at = 0; at < 130; at++) {
    await refused.add(ann(at % 20));
  }
  assert.equal(written.length, 100);
  assert.ok(written.every(({ resources }) => resources === undefined));
  pass(10_000);
  await refused.add(ann(0));
  const { count, resource, resources } = written.at(-1)!;
  assert.deepEqual([count, resource, resources?.length], [31, 'policies/p0', 8]);
  assert.equal(new Set(resources).size, 8);
  await refused.add(ann(1));
  await refused.add(ann(1));
  refused.close();
  assert.deepEqual(
    [written.at(-1)?.count, written.at(-1)?.resources],
    [2, undefined],
    'one thing is the resource itself',
  );
});
