/** The audit log page by page: bounded reading, filters, and files that are full meanwhile. */
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { hashOfLine } from '@mirrorplane/contract/audit-chain';
import type { AuditLog } from '../src/audit/audit.ts';
import { linesBackwards } from '../src/audit/lines.ts';
import type { ChainPlace } from '../src/audit/reading.ts';
import { openLog, TestHeads } from './audit-log.ts';
import { Bench, temporaryFolder } from './harness.ts';

const who = { actor: 'admin', address: 'unix', action: 'create', outcome: 'done' } as const;
const entry = (revision: number) => ({ ...who, resource: `policies/p${revision}`, revision });
const all = () => true;
const p1 = 'policies/p1';

async function linesOf(text: string | Buffer, folder: string): Promise<{ lines: string[]; bytes: number }> {
  const file = path.join(folder, 'lines');
  const whole = Buffer.from(text);
  await writeFile(file, whole);
  const handle: FileHandle = await open(file, 'r');
  const lines: string[] = [];
  let bytes = 0;
  for await (const line of linesBackwards(handle, statSync(file).size, (read) => (bytes += read))) {
    assert.equal(whole.toString('utf8', line.at, line.at + Buffer.byteLength(line.text)), line.text);
    lines.push(line.text);
  }
  await handle.close();
  return { lines, bytes };
}

test('reads lines from the end, whatever their lengths are, and leaves out what is too long or not ended', async (t) => {
  const folder = temporaryFolder(t);
  for (const lines of [
    ['a', 'bb', 'ccc'],
    [],
    ['x'.repeat(65_535), 'y'.repeat(65_536), 'z'],
    ['one', '', 'three'],
    Array.from({ length: 9000 }, (_, at) => `line ${at} ${'.'.repeat(at % 97)}`),
  ]) {
    const text = lines.map((line) => `${line}\n`).join('');
    const found = await linesOf(text, folder);
    assert.deepEqual(found.lines, lines.reverse());
  }
  const long = 'l'.repeat(300_000);
  assert.deepEqual((await linesOf(`first\n${long}\nlast\nhalf`, folder)).lines, ['last', 'first']);
});

test('pages go on where the last one ended, also when entries come and files are full meanwhile', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const log = await openLog(file, { fileBytes: 4000 });
  t.after(() => log.close());
  for (let revision = 1; revision <= 60; revision++) {
    await log.append(entry(revision));
  }
  const found: (number | undefined)[] = [];
  let after: ChainPlace | undefined;
  for (let next = 61; ; next += 3) {
    const page = await log.page({ limit: 7, wanted: all, after });
    found.push(...page.entries.map(({ revision }) => revision));
    after = page.next;
    if (!after) {
      break;
    }
    for (let revision = next; revision < next + 3; revision++) {
      await log.append(entry(revision));
    }
  }
  assert.deepEqual(
    found,
    Array.from({ length: 60 }, (_, at) => 60 - at),
  );
});

test('a place in a file that was removed is said to be gone', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const log = await openLog(file, { fileBytes: 500, keepBytes: 3000 });
  t.after(() => log.close());
  for (let revision = 1; revision <= 4; revision++) {
    await log.append(entry(revision));
  }
  const { next } = await log.page({ limit: 2, wanted: all });
  for (let revision = 5; revision <= 60; revision++) {
    await log.append(entry(revision));
  }
  assert.deepEqual(await log.page({ limit: 2, wanted: all, after: next }), { entries: [], isGone: true });
});

test('one page reads a bounded part of a large log, and the next one goes on behind it', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const line = `${JSON.stringify({ time: '2026-01-31T12:00:00.000Z', ...entry(1) })}\n`;
  await writeFile(file, `${JSON.stringify({ time: '2026-01-31T11:00:00.000Z', ...entry(7), actor: 'read' })}\n`);
  for (let at = 0; at < 20; at++) {
    appendFileSync(file, line.repeat(Math.ceil((1 << 20) / line.length)));
  }
  const log = await openLog(file);
  t.after(() => log.close());
  const wanted = ({ actor }: { actor: string }) => actor === 'read';
  let pages = 1;
  let page = await log.page({ limit: 10, wanted });
  for (; page.entries.length === 0; pages++) {
    page = await log.page({ limit: 10, wanted, after: page.next });
  }
  assert.deepEqual([pages, page.entries[0]?.revision, page.next], [3, 7, undefined]);
  const newer = await log.page({ limit: 10, wanted, since: Date.parse('2026-01-31T11:30:00Z') });
  assert.deepEqual(newer.entries, []);
});

test('the API filters by who, action, resource and time, pages with continue, and refuses what it cannot read', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b', 'c');
  await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  const between = new Date().toISOString();
  await bench.must('PATCH', '/api/v1/policies/one', { percent: 5 });
  await bench.post('/api/v1/policies', { name: 'two', sources: ['none'], destination: 'b' });
  const list = async (query: string) => {
    const { status, body } = await bench.get(`/api/v1/audit?${query}`);
    assert.equal(status, 200, JSON.stringify(body));
    const items = body.items as { action: string; resource: string; outcome: string }[];
    return { more: body.continue, lines: items.map((one) => `${one.action} ${one.resource} ${one.outcome}`) };
  };
  const [created, changed] = ['create policies/one done', 'patch policies/one done'];
  const refused = 'create policies/two refused';
  assert.deepEqual((await list('filter=resource:policies/one')).lines, [changed, created]);
  assert.deepEqual((await list('filter=action:create%20resource:policies/one%20actor:admin')).lines, [created]);
  assert.deepEqual((await list('filter=actor:read')).lines, []);
  assert.deepEqual((await list(`since=${between}`)).lines, [refused, changed]);
  assert.deepEqual((await list(`until=${between}&filter=policies`)).lines, [created]);
  const first = await list('limit=2');
  assert.deepEqual(first.lines, [refused, changed]);
  assert.deepEqual((await list(`limit=1&continue=${first.more}`)).lines, [created]);
  for (const [query, message] of [
    ['continue=abc', /"continue" is not a position in the log/],
    ['filter=%22half', /a double quote is not closed/],
    ['since=yesterday', /write a time of ISO 8601/],
  ] as const) {
    const { status, body } = await bench.get(`/api/v1/audit?${query}`);
    assert.equal(status, 400);
    assert.match(body.errors[0].message, message);
  }
  const gone = Buffer.from(`${'0'.repeat(16)} 2 ${'0'.repeat(64)}`).toString('base64url');
  const { status, body } = await bench.get(`/api/v1/audit?continue=${gone}`);
  assert.deepEqual([status, body.code], [410, 'LIST_EXPIRED']);
});

/** Entries of all pages, by what they are. */
async function standings(log: AuditLog): Promise<string[]> {
  const found: string[] = [];
  let after: ChainPlace | undefined;
  do {
    const page = await log.page({ limit: 2, wanted: all, after, since: Date.parse('2026-01-01') });
    found.push(...page.entries.map(({ resource, unproven }) => `${resource} ${unproven ?? ''}`.trim()));
    after = page.next;
  } while (after);
  return found.reverse();
}

test('marks lines that the controller has not written, whatever they say', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const log = await openLog(file);
  t.after(() => log.close());
  const text = (made: object) => `${JSON.stringify({ time: new Date().toISOString(), ...who, ...made })}\n`;
  const p = (revision: number) => `policies/p${revision}`;
  await log.append(entry(1));
  appendFileSync(file, text({ resource: 'made/up' }));
  await log.append(entry(2));
  // The number and the hash of the line before it are right, and it says itself that it is good.
  const last = readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)!;
  const { seq } = JSON.parse(last);
  appendFileSync(file, text({ seq, prev: hashOfLine(last), resource: 'made/chained', unproven: 'older' }));
  // A time that is long ago does not end a search.
  appendFileSync(file, text({ resource: 'made/old', time: '2020-01-01T00:00:00Z' }));
  appendFileSync(file, `${readFileSync(file, 'utf8').split('\n')[1]}\n`);
  await log.append(entry(3));
  assert.deepEqual(await standings(log), [
    p(1),
    'made/up foreign',
    p(2),
    'made/chained foreign',
    'made/old foreign',
    `${p(1)} foreign`,
    p(3),
  ]);
});

test('behind a line that was changed or removed, entries are not marked from the next signature on', async (t) => {
  for (const change of ['changed', '']) {
    const file = path.join(temporaryFolder(t), 'audit.log');
    const heads = new TestHeads();
    for (const revision of [1, 2, 3]) {
      const log = await openLog(file, { heads });
      await log.append(entry(revision));
      await log.close();
    }
    const log = await openLog(file, { heads });
    t.after(() => log.close());
    const lines = readFileSync(file, 'utf8').split('\n');
    const at = lines.findIndex((line) => line.includes('/p2"'));
    lines.splice(at, 1, ...(change ? [lines[at]!.replace('/p2', `/${change}`)] : []));
    writeFileSync(file, lines.join('\n'));
    const expected = [p1, ...(change ? [`policies/${change} foreign`] : []), 'policies/p3'];
    assert.deepEqual(await standings(log), expected);
  }
});

test('entries before the chain are older, and lines before a log that began with its chain are foreign', async (t) => {
  const made = `${JSON.stringify({ time: '2026-01-02T00:00:00Z', ...who, resource: 'older/1' })}\n`;
  const file = path.join(temporaryFolder(t), 'audit.log');
  writeFileSync(file, made, { mode: 0o600 });
  const log = await openLog(file);
  t.after(() => log.close());
  await log.append(entry(1));
  assert.deepEqual(await standings(log), ['older/1 older', p1]);
  const other = path.join(temporaryFolder(t), 'audit.log');
  const begun = await openLog(other);
  t.after(() => begun.close());
  await begun.append(entry(1));
  writeFileSync(`${other}.7`, made);
  assert.deepEqual(await standings(begun), ['older/1 foreign', p1]);
});
