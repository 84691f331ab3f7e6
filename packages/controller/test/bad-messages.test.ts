/** An agent whose messages cannot be read, again and again: its node has a problem, and it has to wait. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { BadMessages } from '../src/sync/bad-messages.ts';
import { Bench } from './harness.ts';

/** What an agent of another version may send: a device without its name. */
const BAD = '{"type":"inventory","devices":[{"ifindex":5}]}';

test('an agent that sends a bad message each time has to wait, and its node says why', {
  timeout: 120_000,
}, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const credentials = await bench.credentials('node-1');
  const problems = async () => (await bench.get('/api/v1/nodes/node-1')).body.problems ?? [];
  let accepted = 0;
  let refusal = '';
  const began = performance.now();
  while (refusal === '' && performance.now() - began < 60_000) {
    const agent = await bench.connect(credentials).catch((error: Error) => {
      refusal = error.message;
    });
    if (agent) {
      accepted++;
      agent.hello('node-1');
      await until('a program', () => agent.program);
      agent.send(BAD);
      assert.equal((await until('it is closed', () => agent.closed)).code, 4000);
    }
  }
  assert.match(refusal, /429/);
  assert.ok(accepted >= 5 && accepted <= 20, `${accepted} connections`);
  const [problem] = await problems();
  assert.equal(problem.code, 'MESSAGES_REFUSED');
  assert.match(problem.message, /devices/);
  const { body } = await bench.get('/api/v1/events?kind=nodeRejected');
  assert.equal(body.items.length, 1, 'told once');
  // Another node is not concerned, and this one may come again.
  const other = await bench.connect(await bench.credentials('node-2'));
  other.hello('node-2');
  await until('its program', () => other.program);
  const again = async () => bench.connect(credentials).catch(() => undefined);
  const agent = await until('it may connect again', again, { limitMs: 20_000, pauseMs: 100 });
  agent.hello('node-1');
  await until('its program', () => agent.program);
});

test('who has a copy of a certificate does not keep the agent of the node away', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const real = await bench.connect(credentials);
  real.hello('node-1');
  await until('a program', () => real.program);
  // Its connections say something bad before they are accepted.
  const lie = async () => {
    const liar = await bench.connect(credentials, '127.0.0.2').catch((error: Error) => error.message);
    if (typeof liar === 'string') {
      return liar;
    }
    liar.send(BAD);
    await until('it is closed', () => liar.closed);
    return undefined;
  };
  const refusal = await until('the liar has to wait', lie, { limitMs: 20_000 });
  assert.match(refusal, /429/);
  assert.equal(real.closed, undefined);
  real.socket.close();
  await until('the real one is gone', () => real.closed);
  const again = await bench.connect(credentials);
  again.hello('node-1');
  await until('its program', () => again.program);
});

test('pauses begin after some bad messages, double to a minute, and are forgotten', () => {
  let now = 0;
  const bad = new BadMessages(() => now);
  const pauses = Array.from({ length: 18 }, () => {
    bad.add('node-1');
    return bad.pauseOf('node-1');
  });
  const seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60];
  assert.deepEqual(pauses, [...Array(8).fill(0), ...seconds.map((one) => one * 1000)]);
  assert.equal(bad.pauseOf('node-2'), 0);
  now += 59_000;
  assert.equal(bad.pauseOf('node-1'), 1000);
  now += 1000;
  assert.equal(bad.pauseOf('node-1'), 0);
  now += 600_000;
  bad.add('node-2');
  bad.add('node-1');
  assert.equal(bad.pauseOf('node-1'), 0, 'a message now and then is no storm');
  for (let more = 0; more < 9; more++) {
    bad.add('node-1');
  }
  assert.equal(bad.pauseOf('node-1'), 2000);
  for (let number = 0; number < 5000; number++) {
    bad.add(`node-3 10.0.${number >> 8}.${number & 255}`);
  }
  assert.equal(bad.pauseOf('node-1'), 0, 'only the last senders are remembered');
});
