/** The chain of the audit log: what it is by openssl and sha256sum, after kills, and as the API tells it. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { AuditChain } from '@mirrorplane/contract';
import { parseChainLine, SIGN_EVERY } from '@mirrorplane/contract/audit-chain';
import { openLog, TestHeads, verdictOf } from './audit-log.ts';
import { Bench, temporaryFolder } from './harness.ts';

const who = { actor: 'admin', actorKind: 'token', address: 'unix', action: 'create', outcome: 'done' } as const;
const entry = (revision: number) => ({ ...who, resource: `policies/p${revision}`, revision });
const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');

/** Verifies a file with sha256sum and openssl alone. Prints the number of hashes and of signatures. */
const ORACLE = `set -eu
log=$1 ca=$2 dir=$3
openssl x509 -in "$ca" -noout -pubkey > "$dir/key.pem"
before=$(printf '0%.0s' $(seq 64)) hashes=0 signatures=0
while IFS= read -r line; do
  case "$line" in *'"prev":"'"$before"'"'*) hashes=$((hashes + 1));; *) echo "broken at $line"; exit 1;; esac
  before=$(printf %s "$line" | sha256sum | cut -d' ' -f1)
  case "$line" in
    *'"checkpoint":'*)
      printf %s "$line" | sed 's/,"signature":"[^"]*"}$//' | tr -d '\\n' > "$dir/part"
      printf %s "$line" | sed 's/.*,"signature":"\\([^"]*\\)"}$/\\1/' | base64 -d > "$dir/signature"
      openssl dgst -sha256 -verify "$dir/key.pem" -signature "$dir/signature" "$dir/part" > /dev/null
      signatures=$((signatures + 1));;
  esac
done < "$log"
echo "$hashes $signatures"`;

test('openssl and sha256sum verify the log of a controller, line by line', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a-b', 'c');
  await bench.must('POST', '/api/v1/policies', {
    name: 'p',
    sources: ['a-b'],
    destination: 'c',
    description: 'größer ☂',
  });
  await bench.controller.close();
  const file = path.join(bench.data, 'audit.log');
  const args = ['-c', ORACLE, 'sh', file, path.join(bench.data, 'ca.crt'), temporaryFolder(t)];
  assert.equal(execFileSync('sh', args, { encoding: 'utf8' }), `${linesOf(file).length} 2\n`);
  writeFileSync(file, readFileSync(file, 'utf8').replace('größer', 'kleiner'));
  assert.throws(() => execFileSync('sh', args, { encoding: 'utf8', stdio: 'pipe' }), /Command failed/);
});

test('the end is signed after so many entries, after a time, and when the log is closed', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const heads = new TestHeads();
  const log = await openLog(file, { heads, signAfterMs: 50 });
  await Promise.all(Array.from({ length: SIGN_EVERY + 3 }, (_, at) => log.append(entry(at))));
  const reasons = () => linesOf(file).flatMap((line) => parseChainLine(line)?.checkpoint?.reason ?? []);
  assert.deepEqual(reasons().slice(0, 2), ['begin', 'count']);
  await until('the rest is signed', () => reasons().includes('time'));
  const signed = reasons().length;
  await log.append(entry(1000));
  await log.close();
  assert.equal(reasons().slice(signed).at(-1), 'close');
  assert.equal(heads.line, linesOf(file).at(-1));
  assert.equal(verdictOf(path.dirname(file), heads.line).fault, undefined);
});

test('a log without a chain is continued: the chain begins behind it, and seals what was there', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'audit.log');
  const old = JSON.stringify({ time: '2026-01-31T12:00:00.000Z', ...entry(1) });
  writeFileSync(file, `${old}\n${old}\n{"time":"2026-`);
  const log = await openLog(file);
  await log.append(entry(2));
  assert.deepEqual(
    (await log.read(10)).map(({ seq, revision }) => [seq, revision]),
    [
      [2, 2],
      [undefined, 1],
      [undefined, 1],
    ],
  );
  await log.close();
  const { fault, unchained, first } = verdictOf(folder);
  assert.deepEqual([fault, unchained, first], [undefined, 2, 1]);
  writeFileSync(file, readFileSync(file, 'utf8').replace('policies/p1', 'policies/p9'));
  assert.match(verdictOf(folder).fault!.message, /^the lines before the chain were changed since it began/);
});

test('an older copy of the log is found by the start, by the check of the controller, and for ever after', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.restart();
  const file = path.join(bench.data, 'audit.log');
  const copy = path.join(temporaryFolder(t), 'copy');
  copyFileSync(file, copy);
  await bench.declare('a', 'b');
  await bench.controller.close();
  const lines = linesOf(file).length;
  copyFileSync(copy, file);
  await bench.restart();
  await bench.declare('c');
  const events = (await bench.get('/api/v1/events?kind=auditProblem')).body.items as { message: string }[];
  const from = linesOf(copy).length + 1;
  assert.match(
    events[0]!.message,
    new RegExp(`lost its lines ${from} to ${lines}: it was cut short or is an older copy`),
  );
  for (let check = 0; check < 2; check++) {
    const { checked } = AuditChain.parse((await bench.post('/api/v1/audit/check')).body);
    assert.deepEqual([checked?.fault?.kind, checked?.fault?.seq, checked?.upTo], ['removed', from, from - 1]);
    await bench.restart();
  }
  const { fault } = verdictOf(bench.data);
  assert.equal(
    fault!.message,
    `the entries ${from} to ${lines} are missing: removed between entry ${from - 1} and entry ${lines + 1} (in audit.log)`,
  );
});

test('the API gives the state of the chain, and all lines byte by byte from any number on', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const file = path.join(bench.data, 'audit.log');
  const text = readFileSync(file, 'utf8');
  const whole = await bench.get('/api/v1/audit/export');
  assert.deepEqual([whole.status, whole.text], [200, text]);
  const rest = (await bench.get('/api/v1/audit/export?after=3')).text;
  assert.equal(rest, `${linesOf(file).slice(3).join('\n')}\n`);
  assert.equal((await bench.get('/api/v1/audit/export?after=99')).text, '');
  const chain = AuditChain.parse((await bench.get('/api/v1/audit/chain')).body);
  const lines = linesOf(file);
  const signedAt = lines.findLastIndex((line) => JSON.parse(line).checkpoint !== undefined) + 1;
  assert.deepEqual(
    [chain.first, chain.last, chain.unsigned, chain.checked],
    [1, lines.length, lines.length - signedAt, undefined],
  );
  const { checked } = AuditChain.parse((await bench.post('/api/v1/audit/check')).body);
  assert.deepEqual([checked?.upTo, checked?.fault], [chain.last, undefined]);
  for (const path of ['chain', 'export']) {
    const token = readFileSync(`${bench.data}/read-token`, 'utf8').trim();
    assert.equal((await bench.request('GET', `/api/v1/audit/${path}`, undefined, { token })).status, 403);
  }
});

test('what a killed process has acknowledged is in the chain, and what it was writing is not half there', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'audit.log');
  for (let kill = 0; kill < 4; kill++) {
    const writer = spawn(process.execPath, [path.join(import.meta.dirname, 'audit-writer.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    const enough = 150 + kill * 100;
    await new Promise<void>((resolve) => {
      writer.stdout.on('data', (chunk: Buffer) => {
        said += chunk;
        if (said.split('\n').length > enough) {
          writer.kill('SIGKILL');
        }
      });
      writer.once('close', () => resolve());
    });
    appendFileSync(file, kill % 2 === 0 ? '{"seq":9999,"prev"' : '');
    const acknowledged = said.split('\n').slice(0, -1);
    const log = await openLog(file);
    await log.close();
    const text = readFileSync(file, 'utf8');
    const missing = acknowledged.filter((name) => !text.includes(`"resource":"${name}"`));
    assert.ok(acknowledged.length >= enough - 1);
    assert.deepEqual(missing, []);
    assert.deepEqual([verdictOf(folder).fault, verdictOf(folder).isTorn], [undefined, false]);
  }
  assert.ok(statSync(file).size > 0);
});
