/** What is done to a log while the controller is stopped is not signed by its next start. */
import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { auditKeys, hashOfLine, signedPart } from '@mirrorplane/contract/audit-chain';
import { Authority } from '../src/auth/authority.ts';
import { filesOf, openLog, TestHeads, verdictOf } from './audit-log.ts';
import { temporaryFolder } from './harness.ts';

const who = { actor: 'ann', actorKind: 'user', address: 'unix', action: 'create', outcome: 'done' } as const;
const entry = (revision: number) => ({ ...who, resource: `policies/p${revision}`, revision });
const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');
const write = (file: string, lines: readonly string[]) => writeFileSync(file, `${lines.join('\n')}\n`);
const isCheckpoint = (line: string) => line.includes('"checkpoint":{');

/** Makes a log with entries FROM to TO, closed. */
async function run(file: string, heads: TestHeads, from: number, to: number): Promise<string[]> {
  const told: string[] = [];
  const log = await openLog(file, { heads, tell: (message) => told.push(message) });
  for (let revision = from; revision <= to; revision++) {
    await log.append(entry(revision));
  }
  await log.close();
  return told;
}

/** Changes the entry of one revision, and makes hashes and checkpoints behind it again. */
function forge(file: string, revision: number, checkpoint: (line: string) => string): void {
  let prev: string | undefined;
  const lines = linesOf(file).map((line) => {
    let text = prev === undefined ? line : line.replace(/"prev":"[0-9a-f]{64}"/, `"prev":"${prev}"`);
    const isIt = text.includes(`"revision":${revision}}`);
    text = isIt ? text.replace('"actor":"ann"', '"actor":"bob"') : text;
    text = prev !== undefined && isCheckpoint(text) ? checkpoint(text) : text;
    prev = isIt || prev !== undefined ? hashOfLine(text) : undefined;
    return text;
  });
  assert.notEqual(prev, undefined);
  write(file, lines);
}

const unknownKey = (line: string) => line.replace(/"key":"[0-9a-f]{64}"/, `"key":"${'a'.repeat(64)}"`);

test('a log that was changed and made again is not signed by the next start, and each check says so', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const folder = path.dirname(file);
  const heads = new TestHeads();
  await run(file, heads, 1, 4);
  const older = heads.line!;
  assert.deepEqual(await run(file, heads, 5, 8), []);
  const kept = JSON.parse(heads.line!).seq as number;
  forge(file, 6, unknownKey);
  const told = await run(file, heads, 9, 9);
  assert.match(told[0]!, new RegExp(`^line ${kept} of the audit log is not the signed checkpoint that the store`));
  for (let start = 0; start < 2; start++) {
    const { fault } = verdictOf(folder, heads.line);
    assert.match(
      fault!.message,
      new RegExp(`^line ${kept} was not the signed checkpoint .* one of the entries \\d+ to`),
    );
    assert.deepEqual(await run(file, heads, 10, 10), []);
  }
  // A controller that was killed before the store had the newest checkpoint has an older one in it.
  const other = path.join(temporaryFolder(t), 'audit.log');
  const late = new TestHeads();
  await run(other, late, 1, 4);
  const first = late.line;
  await run(other, late, 5, 5);
  late.line = first;
  assert.deepEqual(await run(other, late, 6, 6), []);
  assert.equal(verdictOf(path.dirname(other), late.line).fault, undefined);
  assert.notEqual(older, first);
});

test('a made-up checkpoint does not say where the log begins', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const heads = new TestHeads();
  await run(file, heads, 1, 4);
  await run(file, heads, 5, 8);
  const [lines, kept] = [linesOf(file), heads.line];
  const from = lines.findLastIndex(isCheckpoint);
  const { seq, time, checkpoint } = JSON.parse(lines[from]!);
  const madeUp = { log: checkpoint.log, first: seq, key: 'b'.repeat(64), reason: 'time' };
  const line = { seq: seq + 1, prev: hashOfLine(lines[from]!), time, checkpoint: madeUp, signature: 'AAAA' };
  write(file, [...lines.slice(from), JSON.stringify(line)]);
  await run(file, heads, 9, 9);
  assert.match(
    verdictOf(path.dirname(file), heads.line).fault!.message,
    new RegExp(`^the entries 1 to ${seq - 1} are missing: the log begins with entry ${seq}`),
  );
  write(file, [...lines, JSON.stringify(line)]);
  heads.line = kept;
  await run(file, heads, 9, 9);
  const { fault } = verdictOf(path.dirname(file), undefined);
  assert.match(
    fault!.message,
    new RegExp(`^checkpoint ${seq + 1} names the authority bbbbbbbbbbbbbbbb, whose certificate`),
  );
});

test('an authority that was replaced signs nothing any more', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const folder = path.dirname(file);
  const heads = new TestHeads();
  await run(file, heads, 1, 3);
  const [oldKey, oldPem] = ['ca.key', 'ca.crt'].map((name) => readFileSync(path.join(folder, name), 'utf8'));
  const authority = await Authority.open(folder, Date.now);
  await authority.rotate();
  await run(file, heads, 4, 6);
  assert.equal(verdictOf(folder, heads.line, ['next-ca.crt', 'ca.crt']).fault, undefined);
  await authority.drop();
  await run(file, heads, 7, 9);
  const both = ['ca.crt', 'former-ca.crt'];
  assert.equal(verdictOf(folder, heads.line, both).fault, undefined);
  assert.equal(verdictOf(folder, heads.line).fault, undefined, 'the new one vouches for the old one');
  assert.match(verdictOf(folder, undefined, both.toReversed()).fault!.message, /name the newest certificate first/);
  assert.match(verdictOf(folder, undefined, ['former-ca.crt']).fault!.message, /whose certificate is not given/);
  const text = readFileSync(file);
  const fingerprint = auditKeys(oldPem!)[0]!.fingerprint;
  const byOldKey = (line: string) => {
    const part = signedPart(line).replace(/"key":"[0-9a-f]{64}"/, `"key":"${fingerprint}"`);
    return `${part},"signature":"${sign('sha256', Buffer.from(part), createPrivateKey(oldKey!)).toString('base64')}"}`;
  };
  forge(file, 8, byOldKey);
  assert.match(verdictOf(folder, undefined, both).fault!.message, /which another one had replaced before: one of the/);
  writeFileSync(file, text);
  forge(file, 2, byOldKey);
  assert.match(verdictOf(folder, undefined, both).fault!.message, /is not signed by the newest authority/);
});

test('lines before the chain are those that its first checkpoint seals', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const folder = path.dirname(file);
  const old = (revision: number) => JSON.stringify({ time: '2026-01-31T12:00:00.000Z', ...entry(revision) });
  await run(file, new TestHeads(), 1, 1);
  write(`${file}.1`, [old(7)]);
  assert.match(
    verdictOf(folder).fault!.message,
    /^1 line without a chain was inserted before the chain: its first checkpoint 1 does/,
  );

  const sealed = path.join(temporaryFolder(t), 'audit.log');
  const verdict = () => verdictOf(path.dirname(sealed)).fault?.message;
  write(`${sealed}.2`, [old(1), old(2)]);
  write(`${sealed}.1`, [old(3)]);
  write(sealed, [old(4)]);
  await run(sealed, new TestHeads(), 5, 5);
  assert.equal(verdict(), undefined);
  const [second, first] = [readFileSync(`${sealed}.2`), readFileSync(`${sealed}.1`)];
  writeFileSync(`${sealed}.2`, '');
  assert.equal(verdict(), undefined, 'the oldest file was removed by age');
  writeFileSync(`${sealed}.2`, second);
  for (const lines of [[old(3), old(3)], [old(9)]]) {
    write(`${sealed}.1`, lines);
    assert.match(verdict()!, /^the lines before the chain were changed since it began/);
  }
  writeFileSync(`${sealed}.1`, first);
  assert.equal(verdict(), undefined);
});

test('times and sizes that the file system has let no file be removed', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const folder = path.dirname(file);
  const heads = new TestHeads();
  const keepMs = 8 * 60 * 60 * 1000;
  let now = Date.parse('2026-05-04T12:00:00.000Z');
  const options = { heads, clock: () => now, fileBytes: 3000, keepBytes: 1 << 20, keepMs };
  const log = await openLog(file, options);
  for (let revision = 1; revision <= 40; revision++) {
    await log.append(entry(revision));
  }
  await log.close();
  const full = filesOf(folder).length;
  assert.ok(full > 3, `${full} files`);
  for (const name of filesOf(folder).slice(0, -1)) {
    utimesSync(name, 0, 0);
  }
  const bytes = readFileSync(`${file}.1`);
  truncateSync(`${file}.1`, 4 << 20);
  await (await openLog(file, options)).close();
  assert.equal(filesOf(folder).length, full);
  writeFileSync(`${file}.1`, bytes);
  now += keepMs + 1;
  await (await openLog(file, options)).close();
  assert.equal(filesOf(folder).length, 1);
  assert.equal(verdictOf(folder, heads.line).fault, undefined);
});
