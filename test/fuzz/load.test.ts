/** Thousands of connections that want nothing: others are served, and the memory is bounded. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Crowd } from './crowd.ts';
import { Target } from './target.ts';
import { Witness } from './witness.ts';

/** Connections without a token: more than the controller keeps of strangers. */
const SILENT = 1500;
const SLOW_HEADS = 700;
/** Connections with a token, whose bodies do not arrive. */
const SLOW_BODIES = 400;
/** Streams that nobody reads, and connections that ask and do not read. */
const STREAMS = 200;
const DEAF = 100;
/** Answers that a deaf client asks for, one after the other. */
const ASKED = 20;
/**
 * Bytes of memory for all of them. A stream has 64 KB and a message, a deaf client one or two
 * answers of some 350 KB, and Node.js some 10 KB for a connection.
 */
const MEMORY = 200 << 20;

let target: Target;
before(async () => {
  target = await Target.start();
});
after(() => target?.close());

/** Others ask while a crowd is there. @returns the number of connections that were ended */
async function harmsNobody(say: (text: string) => void, gather: (crowd: Crowd) => Promise<void>): Promise<void> {
  const memory = target.memory;
  const crowd = new Crowd(target.port);
  const witness = new Witness(target);
  try {
    await gather(crowd);
  } finally {
    const { failures, ...seen } = await witness.end();
    const most = target.memory;
    crowd.disperse();
    say(`others: ${JSON.stringify(seen)}; memory: ${memory >> 20} MB before, ${most >> 20} MB meanwhile`);
    assert.deepEqual(failures, []);
    assert.ok(most - memory < MEMORY, `${memory} bytes before, ${most} meanwhile`);
  }
  assert.deepEqual(target.errors, []);
}

test('thousands of connections that send nothing, or slowly, keep nobody out', async (t) => {
  await harmsNobody(
    (text) => t.diagnostic(text),
    async (crowd) => {
      const head = `PUT /api/v1/domains/blue HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
      crowd.add(SLOW_BODIES, `${head}Authorization: Bearer ${target.token}\r\nContent-Length: 5000\r\n\r\n{`, {
        isSlow: true,
      });
      crowd.add(SILENT, '');
      crowd.add(SLOW_HEADS, 'GET /api/v1/policies HTTP/1.1\r\nX-Slow: ', { isSlow: true });
      // The heads have ten seconds, and are looked at every two.
      await until('all without a token are ended', () => crowd.ended >= SILENT + SLOW_HEADS, {
        limitMs: 60_000,
      });
    },
  );
});

test('streams and answers that nobody reads take a bounded memory', async (t) => {
  await harmsNobody(
    (text) => t.diagnostic(text),
    async (crowd) => {
      const get = (path: string) =>
        `GET /api/v1/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${target.token}\r\n\r\n`;
      crowd.add(STREAMS / 2, get('events/stream?after=0'), { isDeaf: true });
      crowd.add(STREAMS / 2, get('stream?topics=policies,nodes,events&after=0'), { isDeaf: true });
      crowd.add(DEAF, get('openapi.json').repeat(ASKED), { isDeaf: true });
      for (let change = 0; change < 300; change++) {
        const description = `${change}${'x'.repeat(1000)}`;
        await target.must('PUT', '/api/v1/domains/blue', { description });
        // A refusal is an event with its reason.
        await target
          .must('PUT', '/api/v1/pools/west', { domain: `none-${change}`, description })
          .catch(() => undefined);
      }
    },
  );
});
