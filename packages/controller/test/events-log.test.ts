/** The file of the event log: numbered, bounded, readable when damaged. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import type { AgentEvent, EventDraft } from '@mirrorplane/contract';
import pino from 'pino';
import { EventLog } from '../src/events/log.ts';
import { temporaryFolder } from './harness.ts';

const options = { clock: () => Date.UTC(2026, 0, 1), log: pino({ level: 'silent' }) };
const WRITER = path.join(import.meta.dirname, 'events-writer.ts');

function draft(message: string): EventDraft {
  const controller = { kind: 'controller', name: 'controller' } as const;
  return { kind: 'controllerStarted', object: controller, message, cause: controller };
}

function fileOf(t: TestContext): string {
  return path.join(temporaryFolder(t), 'events.log');
}

const messages = (log: EventLog, after = 0) => [...log.since(after)].map(({ id, message }) => `${id} ${message}`);

/** Events of an agent, from one number to another. */
function told(from: number, to: number): AgentEvent[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const seq = from + index;
    return { seq, at: '2026-01-01T00:00:00.000Z', kind: 'repaired', cause: 'agent', message: `m${seq}` };
  });
}
const translate = ({ message }: AgentEvent) => draft(message);

test('events are numbered from 1, and go on from the newest after the log was opened again', async (t) => {
  const file = fileOf(t);
  let log = await EventLog.open(file, options);
  assert.deepEqual([log.last, log.oldest], [0, 0]);
  await log.append(draft('a'), draft('b'));
  await log.append(draft('c'));
  await log.close();
  log = await EventLog.open(file, options);
  await log.append(draft('d'));
  assert.deepEqual(messages(log), ['1 a', '2 b', '3 c', '4 d']);
  assert.deepEqual(messages(log, 2), ['3 c', '4 d']);
  assert.deepEqual(messages(log, 9), []);
  assert.equal([...log.since(0)][0]?.at, '2026-01-01T00:00:00.000Z');
  await log.close();
  await assert.rejects(log.append(draft('e')), /closed/);
  await log.note(draft('e'));
});

test('a line that was cut short is left out, and the next event gets its number', async (t) => {
  const file = fileOf(t);
  let log = await EventLog.open(file, options);
  await log.append(draft('a'), draft('b'));
  await log.close();
  truncateSync(file, readFileSync(file).length - 5);
  log = await EventLog.open(file, options);
  assert.deepEqual(messages(log), ['1 a']);
  await log.append(draft('c'));
  await log.close();
  log = await EventLog.open(file, options);
  assert.deepEqual(messages(log), ['1 a', '2 c']);
  await log.close();
});

test('where lines in the middle are damaged, all others are kept, with their numbers', async (t) => {
  const file = fileOf(t);
  let log = await EventLog.open(file, options);
  await log.append(draft('a'), draft('b'), draft('c'), draft('d'));
  await log.close();
  const lines = readFileSync(file, 'utf8').split('\n');
  lines[1] = '{"event":{"id":"two"}}';
  writeFileSync(file, lines.join('\n'));
  appendFileSync(file, 'not JSON at all\n');
  log = await EventLog.open(file, options);
  assert.deepEqual([messages(log), log.last, log.oldest], [['1 a', '3 c', '4 d'], 4, 1]);
  await log.close();
});

test("the newest events are kept, in memory and in the file, and the numbers of agents' events stay known", async (t) => {
  const file = fileOf(t);
  const log = await EventLog.open(file, { ...options, limit: 10 });
  await log.take('node-1', 'e', told(1, 3), translate);
  for (let index = 0; index < 40; index++) {
    await log.append(draft(`n${index}`));
  }
  assert.deepEqual([log.last, log.oldest, messages(log).length], [43, 34, 10]);
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  assert.ok(lines.length <= 21, `${lines.length} lines`);
  await log.close();
  const again = await EventLog.open(file, { ...options, limit: 10 });
  assert.deepEqual([again.last, again.oldest], [43, 34]);
  assert.equal(await again.take('node-1', 'e', told(2, 3), translate), 3);
  assert.equal(again.last, 43, 'nothing is told twice');
  await again.close();
});

test('an event of an agent is stored once although it is sent several times, also across a restart', async (t) => {
  const file = fileOf(t);
  let log = await EventLog.open(file, options);
  const both = [log.take('node-1', 'e', told(1, 2), translate), log.take('node-1', 'e', told(1, 3), translate)];
  assert.deepEqual(await Promise.all(both), [2, 3]);
  await log.take('node-2', 'e', told(1, 1), translate);
  await log.close();
  log = await EventLog.open(file, options);
  assert.equal(await log.take('node-1', 'e', told(2, 4), translate), 4);
  assert.deepEqual(messages(log), ['1 m1', '2 m2', '3 m3', '4 m1', '5 m4']);
  assert.equal(await log.take('node-1', 'of the next start', told(1, 1), translate), 1);
  assert.equal(log.last, 6);
  await log.close();
});

test('if a kill has prevented the event of a change, the next start writes it once', async (t) => {
  const file = fileOf(t);
  let log = await EventLog.open(file, { ...options, limit: 4 });
  await log.noteDecision(7, [draft('seven')]);
  const changes = [
    { revision: 7, events: [draft('seven')] },
    { revision: 8, events: [draft('eight')] },
    { revision: 9 },
  ];
  for (const expected of [
    ['1 seven', '2 eight'],
    ['1 seven', '2 eight'],
  ]) {
    await log.close();
    log = await EventLog.open(file, { ...options, limit: 4 });
    await log.recover(changes);
    assert.deepEqual(messages(log), expected);
  }
  for (let index = 0; index < 20; index++) {
    await log.append(draft('later'));
  }
  await log.close();
  log = await EventLog.open(file, { ...options, limit: 4 });
  await log.recover(changes);
  assert.equal(log.last, 22, 'known though the file was written anew');
  await log.close();
});

test('a gap in the numbers of an agent becomes one event that says how many are lost', async (t) => {
  const log = await EventLog.open(fileOf(t), options);
  await log.take('node-1', 'e', told(1, 2), translate);
  await log.take('node-1', 'e', told(8, 9), translate);
  const lost = [...log.since(2)][0];
  assert.deepEqual([lost?.kind, lost?.object.name, lost?.count], ['eventsLost', 'node-1', 5]);
  assert.deepEqual(messages(log, 3), ['4 m8', '5 m9']);
  await log.close();
});

test('acknowledged events are there after each of 4 kills of the process, and numbers grow', async (t) => {
  const file = fileOf(t);
  let last = 0;
  for (let kill = 0; kill < 4; kill++) {
    const writer = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    writer.stdout.on('data', (data) => {
      text += data;
      if (text.split('\n').length > 5 + 7 * kill) {
        writer.kill('SIGKILL');
      }
    });
    const [, signal] = await once(writer, 'close');
    assert.equal(signal, 'SIGKILL', 'the writer ended by itself');
    const acknowledged = Number(text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1));
    const log = await EventLog.open(file, { ...options, limit: 100 });
    assert.ok(acknowledged > last && log.last >= acknowledged, `acknowledged ${acknowledged}, found ${log.last}`);
    const kept = messages(log);
    const expected = kept.map((_, index) => `${log.oldest + index} event ${log.oldest + index}`);
    assert.deepEqual(kept, expected, 'each once, in order');
    last = log.last;
    await log.close();
  }
});
