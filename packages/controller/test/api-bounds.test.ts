/** Bounds of operators' requests. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import pino from 'pino';
import { STREAM_PLACES } from '../src/http/events.ts';
import { startController } from '../src/index.ts';
import { Bench, temporaryFolder } from './harness.ts';

const options = { timeout: 120_000 };

test('the number of open event streams is limited, and other requests continue', options, async (t) => {
  const bench = await Bench.start(t);
  const [host, port] = bench.controller.addresses[0]!.split(':');
  const open = () =>
    new Promise<{ status: number; end: () => void }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${bench.token}` };
      const request = httpRequest({ host, port, path: '/api/v1/events/stream', headers, agent: false });
      request.on('response', (response) => {
        response.resume();
        resolve({ status: response.statusCode!, end: () => request.destroy() });
      });
      request.on('error', reject);
      request.end();
    });
  const streams = await Promise.all(Array.from({ length: STREAM_PLACES.each }, open));
  t.after(() => {
    for (const { end } of streams) {
      end();
    }
  });
  assert.ok(streams.every(({ status }) => status === 200));
  const more = await bench.get('/api/v1/events/stream');
  assert.deepEqual([more.status, more.body.code], [503, 'UNAVAILABLE']);
  assert.equal((await bench.get('/api/v1/events')).status, 200);
  const { token } = await bench.must('POST', '/api/v1/tokens', { name: 'mine', expiresAt: 'never' });
  assert.equal(
    (await bench.request('GET', '/api/v1/events/stream', undefined, { token })).status,
    503,
    'the same user',
  );
  streams[0]!.end();
  await until('there is room again', async () => {
    const stream = await open();
    streams.push(stream);
    return stream.status === 200;
  });
});

test('a body of many fields, levels or items is refused at once', options, async (t) => {
  const bench = await Bench.start(t);
  const fields = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`k${at}`, 0]));
  const cases: [body: string, detail: RegExp][] = [
    [JSON.stringify(fields), /more than 64 fields/],
    [`{"sources":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, /more than 12 levels/],
    [`{"sources":[${'"",'.repeat(200_000)}""]}`, /more than 16384 items/],
  ];
  for (const [body, detail] of cases) {
    const began = performance.now();
    const reply = await bench.post('/api/v1/policies', body);
    assert.deepEqual([reply.status, reply.body.code], [400, 'BAD_REQUEST']);
    assert.match(reply.body.detail, detail);
    assert.ok(performance.now() - began < 2000);
  }
});

test('a request is ended if its head does not arrive', options, async (t) => {
  const bench = await Bench.start(t);
  const [host, port] = bench.controller.addresses[0]!.split(':');
  const socket = connect(Number(port), host);
  let closed = false;
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => undefined);
  socket.resume();
  socket.write('GET /api/v1/policies HTTP/1.1\r\nX-Slow: ');
  t.after(() => socket.destroy());
  await until('it is ended', () => closed, { limitMs: 30_000 });
});

test('a data folder that other users may write is refused with what to do', async (t) => {
  const data = path.join(temporaryFolder(t), 'data');
  mkdirSync(data);
  chmodSync(data, 0o777);
  const logger = pino({ level: 'silent' });
  const start = () => startController({ data, listen: ['127.0.0.1:0'], agentListen: '127.0.0.1:0', logger });
  await assert.rejects(start(), new RegExp(`other users may write ${data} .*run "chmod go-w ${data}"`));
  chmodSync(data, 0o755);
  await (await start()).close();
});
