/**
 * What is done to the audit log of a real controller is found by `mirrorplane audit verify`, with the
 * right words and exit code 1.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { hashOfLine } from '@mirrorplane/contract/audit-chain';
import { filesOf } from './audit-log.ts';
import { Bench, temporaryFolder } from './harness.ts';

const COMMAND = path.join(import.meta.dirname, '../../../bin/mirrorplane');

interface Log {
  /** Lines of the files, the oldest file first. */
  files: string[][];
  /** The same lines before the last restart of the controller. */
  older: string[][];
}

/** Line `seq`, and where it is. */
function lineAt({ files }: Log, seq: number): { lines: string[]; at: number; text: string } {
  for (const lines of files) {
    const at = lines.findIndex((line) => line.startsWith(`{"seq":${seq},`));
    if (at >= 0) {
      return { lines, at, text: lines[at]! };
    }
  }
  throw new Error(`there is no line ${seq}`);
}

const lastOf = ({ files }: Log) => JSON.parse(files.at(-1)!.at(-1)!).seq as number;
const isCheckpoint = (line: string) => line.includes('"checkpoint":{');

/** Changes an entry, and makes all hashes behind it again, as far as one can without the key. */
function forge(log: Log, seq: number): void {
  let prev: string | undefined;
  for (const lines of log.files) {
    for (const [at, line] of lines.entries()) {
      const number = Number(/^\{"seq":(\d+),/.exec(line)![1]);
      let text = prev === undefined ? line : line.replace(/"prev":"[0-9a-f]{64}"/, `"prev":"${prev}"`);
      if (number === seq) {
        text = text.replace('"actor":"admin"', '"actor":"other"');
      }
      prev = number >= seq ? hashOfLine(text) : undefined;
      lines[at] = text;
    }
  }
}

/** What is done, and what is said. MIDDLE is an entry in the second of three files. */
function tamperings(middle: number, last: number): [what: string, (log: Log) => void, said: RegExp][] {
  const change = (seq: number, from: string | RegExp, to: string) => (log: Log) => {
    const { lines, at, text } = lineAt(log, seq);
    lines[at] = text.replace(from, to);
    assert.notEqual(lines[at], text);
  };
  const remove = (seq: number) => (log: Log) => {
    const { lines, at } = lineAt(log, seq);
    lines.splice(at, 1);
  };
  const copied = (log: Log, seq: number, behind: number) => {
    const { text } = lineAt(log, seq);
    const { lines, at } = lineAt(log, behind);
    lines.splice(at + 1, 0, text);
  };
  const [before, after] = [middle - 1, middle + 1];
  return [
    ['the first line removed', remove(1), /the log begins with entry 2, which is no signed checkpoint/],
    [
      'a middle line removed',
      remove(middle),
      new RegExp(`entry ${middle} is missing: removed between entry ${before}`),
    ],
    ['the last line removed', remove(last), new RegExp(`entry ${last} is missing at the end: the log was cut short`)],
    [
      'the oldest file removed',
      ({ files }) => void files.shift(),
      /the entries 1 to \d+ are missing: the log begins with entry \d+, and they were not removed by age or size/,
    ],
    [
      'a middle file removed',
      ({ files }) => void files.splice(1, 1),
      /the entries \d+ to \d+ are missing: removed between entry \d+ and entry \d+ \(in /,
    ],
    [
      'the newest file removed',
      ({ files }) => void files.pop(),
      /the entries \d+ to \d+ are missing at the end: the log was cut short, or is an older copy/,
    ],
    [
      'a byte of an entry changed',
      change(middle, '"actor":"admin"', '"actor":"admim"'),
      new RegExp(`entry ${middle} was changed: its line does not have the hash that entry ${after} names`),
    ],
    [
      'a byte of a hash changed',
      change(middle, /"prev":"./, '"prev":"g'),
      new RegExp(`entry ${middle} was changed: its line cannot be read`),
    ],
    [
      'another hash in a line',
      change(middle, /"prev":"[0-9a-f]{64}"/, `"prev":"${hashOfLine('')}"`),
      new RegExp(`entry ${middle} was changed: its line does not have the hash`),
    ],
    ['a line made unreadable', change(middle, /^\{/, '['), new RegExp(`entry ${middle} was changed: its line cannot`)],
    [
      'the number of a line changed',
      change(middle, /"seq":\d+/, '"seq":99999'),
      new RegExp(`entry ${middle} was changed: its number is 99999 now`),
    ],
    [
      'two lines swapped',
      (log) => {
        const { lines, at } = lineAt(log, middle);
        lines.splice(at, 2, lines[at + 1]!, lines[at]!);
      },
      new RegExp(`entry ${middle} is not in its place: it stands behind entry ${after}`),
    ],
    [
      'a line moved far behind',
      (log) => {
        const { lines, at, text } = lineAt(log, middle);
        lines.splice(at, 1);
        const end = lineAt(log, last - 1);
        end.lines.splice(end.at, 0, text);
      },
      new RegExp(`entry ${middle} is not in its place: it stands behind entry ${after}`),
    ],
    [
      'a copied line inserted',
      (log) => copied(log, 4, middle),
      new RegExp(`a line was inserted after entry ${middle}: it has the number 4 again`),
    ],
    [
      'a made-up line inserted',
      (log) => {
        const { lines, at } = lineAt(log, middle);
        lines.splice(at + 1, 0, '{"time":"2026-01-31T12:00:00.000Z","actor":"admin"}');
      },
      new RegExp(`a line was inserted after entry ${middle}: it is no entry of the log`),
    ],
    [
      'the end cut off to a signed checkpoint',
      ({ files }) => {
        const newest = files.at(-1)!;
        newest.length = 1 + newest.slice(0, -1).findLastIndex(isCheckpoint);
      },
      /the entries \d+ to \d+ are missing at the end: the log was cut short/,
    ],
    [
      'an older copy',
      (log) => Object.assign(log, { files: log.older }),
      /missing at the end: the log was cut short, or is an older copy/,
    ],
    [
      'an entry changed and all hashes made again without the key',
      (log) => forge(log, middle),
      /the signature of checkpoint \d+ does not fit: one of the entries \d+ to \d+ was changed, and the hashes were made/,
    ],
    [
      'the same without the signed checkpoints',
      (log) => {
        const entries = log.files.flat().filter((line) => !isCheckpoint(line));
        log.files = [entries];
      },
      /the log begins with entry \d+, which is no signed checkpoint/,
    ],
  ];
}

test('each tampering with the files of a log is found and named', { timeout: 120_000 }, async (t) => {
  const bench = await Bench.start(t, 0, { audit: { fileBytes: 3000 } });
  await bench.cluster('node-1');
  for (let at = 0; at < 10; at++) {
    await bench.declare(`vm-${at}`);
  }
  const read = () => filesOf(bench.data).map((file) => readFileSync(file, 'utf8').trimEnd().split('\n'));
  const older = read();
  await bench.restart();
  for (let at = 10; at < 20; at++) {
    await bench.declare(`vm-${at}`);
  }
  const head = (await bench.get('/api/v1/audit/chain')).body.checkpoint as string;
  await bench.controller.close();
  const files = read();
  assert.ok(files.length >= 3, `${files.length} files`);
  const folder = temporaryFolder(t);
  copyFileSync(path.join(bench.data, 'ca.crt'), path.join(folder, 'ca.crt'));
  const last = lastOf({ files, older });
  const keptHead = files.at(-1)!.findLast(isCheckpoint)!;
  assert.ok(JSON.parse(head).seq < last);
  writeFileSync(path.join(folder, 'head'), `${keptHead}\n`);

  let count = 0;
  const verify = async (log: Log) => {
    const copies = path.join(folder, `copies-${count++}`);
    mkdirSync(copies);
    const names = log.files.map((lines, at) => {
      const file = path.join(
        copies,
        at === log.files.length - 1 ? 'audit.log' : `audit.log.${log.files.length - 1 - at}`,
      );
      writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
      return file;
    });
    const options = ['--authority', path.join(folder, 'ca.crt'), '--head', path.join(folder, 'head')];
    return promisify(execFile)(COMMAND, ['audit', 'verify', ...names, ...options]).then(
      ({ stdout }) => ({ code: 0, said: stdout }),
      (error: { code: number; stderr: string }) => ({ code: error.code, said: error.stderr }),
    );
  };
  const copyOf = (): Log => structuredClone({ files, older });

  const untouched = await verify(copyOf());
  assert.equal(untouched.code, 0, untouched.said);
  assert.match(untouched.said, new RegExp(`as it was written: lines 1 to ${last}\nsigned up to line ${last} at `));
  const middle = JSON.parse(files[1]!.filter((line) => !isCheckpoint(line))[3]!).seq as number;
  for (const [what, tamper, said] of tamperings(middle, last)) {
    const log = copyOf();
    tamper(log);
    const found = await verify(log);
    t.diagnostic(`${what}: ${found.said.trimEnd()}`);
    assert.equal(found.code, 1, `${what}: ${found.said}`);
    assert.match(found.said, said, what);
    assert.equal(found.said.trimEnd().split('\n').length, 1, 'one sentence');
  }
  assert.ok(statSync(path.join(folder, 'head')).size > 0);
});

test('the command verifies, lists and exports the log of a controller, and an export goes on', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const file = path.join(temporaryFolder(t), 'export.jsonl');
  const env = {
    ...process.env,
    MIRRORPLANE_URL: `http://${bench.controller.addresses[0]}`,
    MIRRORPLANE_TOKEN_FILE: path.join(bench.data, 'admin-token'),
  };
  const run = async (...args: string[]) => (await promisify(execFile)(COMMAND, ['audit', ...args], { env })).stdout;
  // The signed beginning, the first administrator, and the three of the cluster.
  assert.match(
    await run('verify'),
    /^the audit log is as it was written: lines 1 to 5\nsigned up to line 1 at .*\nnot signed yet: 4 /,
  );
  const rows = await run('list', '--action', 'replace', '--resource', 'pools/east', '-o', 'wide');
  assert.match(rows, /admin +token +127\.0\.0\.1 +replace +pools\/east +done +- +4 +- +domain=blue/);
  const { items } = JSON.parse(await run('list', '--limit', '2', '-o', 'json'));
  assert.deepEqual(
    items.map(({ seq, resource }: { seq: number; resource: string }) => `${seq} ${resource}`),
    ['5 nodes/node-1', '4 pools/east'],
  );
  const log = () => readFileSync(path.join(bench.data, 'audit.log'), 'utf8');
  assert.equal(await run('export'), log());
  await run('export', '--file', file);
  assert.equal(readFileSync(file, 'utf8'), log());
  await bench.restart();
  env.MIRRORPLANE_URL = `http://${bench.controller.addresses[0]}`;
  writeFileSync(file, `${readFileSync(file, 'utf8')}{"seq":6,"prev":"12`);
  await run('export', '--file', file);
  assert.equal(readFileSync(file, 'utf8'), log());
  assert.match(
    await run('verify', file, '--authority', path.join(bench.data, 'ca.crt')),
    /^the audit log is as it was/,
  );
  assert.equal(JSON.parse(await run('head')).checkpoint.reason, 'start');
  writeFileSync(path.join(bench.data, 'audit.log'), log().replace('"pools/east"', '"pools/west"'));
  await assert.rejects(run('verify'), ({ code, stderr }: { code: number; stderr: string }) => {
    return (
      code === 1 && /^error: entry 4 was changed: its line does not have the hash that entry 5 names\n$/.test(stderr)
    );
  });
});
