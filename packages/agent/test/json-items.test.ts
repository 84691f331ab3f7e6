/**
 * Lists out of streams: the items as JSON.parse gives them, however the stream is cut, and no more
 * of them than asked for.
 */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { readContainers } from '../src/discovery/container-runtimes.ts';
import { type ItemsOptions, JsonItems } from '../src/discovery/json-items.ts';
import { getItems } from '../src/discovery/unix-http.ts';
import { temporaryFolder } from './support.ts';

/** Reads a text that comes in parts of so many bytes. */
function read(text: string, { size = 7, ...more }: Partial<ItemsOptions> & { size?: number } = {}) {
  const items: unknown[] = [];
  const reader = new JsonItems({ level: 0, most: 1000, longest: 10_000, take: (item) => items.push(item), ...more });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size));
  }
  reader.end();
  return { items, isFull: reader.isFull };
}

test('gives the items of any list, wherever the stream is cut', () => {
  const lists = fc.array(fc.jsonValue(), { maxLength: 20 });
  fc.assert(
    fc.property(lists, fc.integer({ min: 1, max: 40 }), fc.boolean(), (list, size, spaced) => {
      const text = JSON.stringify(list, null, spaced ? 2 : undefined);
      assert.deepEqual(read(text, { size }).items, JSON.parse(text));
      const field = `{"type":"sync","error":"[\\"","more":{"a":[1]},"metadata":${text},"behind":[2]}`;
      assert.deepEqual(read(field, { size, level: 1 }).items, JSON.parse(text));
    }),
  );
});

test('takes at most the requested number of items, and reads nothing after them', () => {
  assert.deepEqual(read('[1,2,3]', { most: 3 }), { items: [1, 2, 3], isFull: false });
  assert.deepEqual(read('[1,2,3,4]', { most: 3 }), { items: [1, 2, 3], isFull: true });
  assert.deepEqual(read('[1,2,3,4,no JSON', { most: 3, size: 100 }), { items: [1, 2, 3], isFull: true });
});

test('refuses an incomplete list, and an item that is too long', () => {
  for (const text of ['', '[1,2', '{"a":1}', '"[1]"', '{"message":"gone"}']) {
    assert.throws(() => read(text), /there is no whole list/, text);
  }
  assert.throws(() => read('[1,nothing]'), SyntaxError);
  assert.throws(() => read(`["${'x'.repeat(200)}"]`, { longest: 100 }), /an item is larger than 100 bytes/);
});

/** A daemon that answers as it is told. */
async function daemon(t: TestContext, answerTo: (path: string, answer: ServerResponse) => void): Promise<string> {
  const socket = join(temporaryFolder(t), 'api.sock');
  const server = createServer((request, answer) => answerTo(request.url!, answer));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return socket;
}

test('of 300,000 listed containers 4,096 are looked at, the others are not read, and that is a problem', async (t) => {
  const MANY = 300_000;
  let written = 0;
  const asked = new Set<string>();
  const socket = await daemon(t, (path, answer) => {
    if (path !== '/containers/json') {
      asked.add(path);
      answer.writeHead(404).end();
      return;
    }
    answer.write('[{"Id":"aaaaaaaaaaaa"}');
    const write = () => {
      while (written < MANY && !answer.destroyed) {
        if (!answer.write(`,{"Id":"${(++written).toString(16).padStart(64, '0')}"}`)) {
          return void answer.once('drain', write);
        }
      }
      answer.end(']');
    };
    write();
  });
  const { unreadable, containers } = await readContainers(
    { path: socket, kind: 'api' },
    { node: 'n', scope: undefined },
  );
  assert.deepEqual(unreadable, [`${socket} has more than 4096 containers; only that many are read`]);
  assert.deepEqual([asked.size, containers.size], [4096, 0]);
  assert.ok(written < MANY / 2, `${written} entries were read or under way`);
});

test('an error in place of a list is reported, and so is a list that is too late', async (t) => {
  const socket = await daemon(t, (path, answer) => {
    if (path === '/late') {
      answer.write('[1,');
    } else {
      answer.writeHead(500).end('[1]');
    }
  });
  const question = { socket, level: 0, most: 9 } as const;
  const taken: unknown[] = [];
  await assert.rejects(
    getItems({ ...question, path: '/bad' }, (item) => taken.push(item)),
    /the answer to \/bad is 500/,
  );
  assert.equal(taken.length, 0);
  await assert.rejects(
    getItems({ ...question, path: '/late', timeout: 50 }, (item) => taken.push(item)),
    /no answer to \/late in 50 ms/,
  );
});

test('a runtime that answers slowly is not asked on and on: what was said last of the others holds', async (t) => {
  const inspected = (name: string) =>
    JSON.stringify({ Name: `/${name}`, NetworkSettings: { SandboxKey: `/run/netns/${name}` } });
  const ids = Array.from({ length: 12 }, (_, i) => i.toString(16).padStart(12, '0'));
  let slow = false;
  const socket = await daemon(t, (path, answer) => {
    if (path === '/containers/json') {
      answer.end(JSON.stringify(ids.map((Id) => ({ Id }))));
    } else {
      setTimeout(() => answer.end(inspected(`${slow ? 'new' : 'old'}-${path.split('/')[2]}`)), slow ? 100 : 0);
    }
  });
  const runtime = { path: socket, kind: 'api' } as const;
  const naming = { node: 'n', scope: undefined };
  const last = await readContainers(runtime, naming);
  assert.deepEqual([last.containers.size, last.unreadable], [12, []]);
  slow = true;
  const { containers, unreadable } = await readContainers(runtime, naming, { last, askingMs: 50 });
  const names = [...containers.values()].map(({ name }) => name.slice(0, 3));
  assert.deepEqual(
    [names.filter((name) => name === 'new').length, names.filter((name) => name === 'old').length],
    [4, 8],
  );
  assert.match(unreadable.join(), /8 containers could not be read within 0.05 s; their last known state holds/);
});
