/** An agent with several controllers: which one it dials, what it learns, and whom it refuses. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { emptyProgram } from '@mirrorplane/contract';
import { KnownControllers } from '../src/controller-link/controllers.ts';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { startAgent } from '../src/start.ts';
import { temporaryFolder, testAuthority, testLog } from './support.ts';
import { TestController } from './test-controller.ts';

const options = { timeout: 60_000 };

/** Controllers of one authority, and the start of an agent that is given some of them. */
async function several(t: TestContext, count: number) {
  const authority = testAuthority(t);
  const controllers = Array.from({ length: count }, () => new TestController(authority));
  for (const one of controllers) {
    await one.start();
    t.after(() => one.stop());
  }
  const data = temporaryFolder(t);
  const start = async (controller: readonly string[], ping = 50) => {
    const timing = { backoffMin: 20, backoffMax: 100, ping, pingSeveral: 50 };
    const base = { node: 'node-1', token: controllers[0]!.token, data, datapath: new FakeDatapath(), log: testLog };
    const agent = await startAgent({ ...base, controller, timing });
    t.after(() => agent.close());
    return agent;
  };
  return { controllers, data, start };
}

test(
  'an agent learns the other controllers from the leader, and finds the next one when it dies',
  options,
  async (t) => {
    const { controllers, data, start } = await several(t, 2);
    const [one, two] = controllers as [TestController, TestController];
    const list = [one.address, two.address];
    one.leader = { term: 5, controllers: list };
    one.program = emptyProgram('node-1', 3);
    const agent = await start([one.address]);
    await until('the program of the first', () => one.last('status')?.appliedRevision === 3);
    assert.equal(one.last('hello')?.term, 0);
    two.leader = { term: 9, controllers: list };
    two.program = emptyProgram('node-1', 4);
    await one.stop();
    await until('the program of the second', () => two.last('status')?.appliedRevision === 4);
    assert.equal(two.last('hello')?.term, 5);
    const file = join(data, 'controllers.json');
    const kept = () => JSON.parse(readFileSync(file, 'utf8'));
    await until('all is kept', () => kept().term === 9 && kept().last === two.address);
    await agent.close();
    // The next start knows both, and begins with the last good one.
    const before = two.messages.length;
    await start([one.address]);
    await until('the hello at the second', () => two.messages.slice(before).some(({ type }) => type === 'hello'));
  },
);

test(
  'a leader of a lower term is refused with its program, the next one is tried, and an event tells it',
  options,
  async (t) => {
    const { controllers, start } = await several(t, 2);
    const [stale, current] = controllers as [TestController, TestController];
    const list = [stale.address, current.address];
    current.leader = { term: 9, controllers: list };
    current.program = emptyProgram('node-1', 4);
    stale.leader = { term: 5, controllers: list };
    stale.program = emptyProgram('node-1', 99);
    await start([current.address, stale.address]);
    await until('the program', () => current.last('status')?.appliedRevision === 4);
    await current.stop();
    await until('the agent asks the stale one', () => stale.last('hello'));
    await current.start();
    const told = () => current.messages.flatMap((message) => (message.type === 'events' ? message.events : []));
    await until('the event', () => told().some(({ kind }) => kind === 'leaderRefused'));
    const event = told().find(({ kind }) => kind === 'leaderRefused')!;
    assert.match(event.message, new RegExp(`${stale.address} was refused: its term is 5, and .* term 9`));
    assert.equal(current.last('status')?.appliedRevision, 4, 'the program of the stale one was not taken');
    assert.ok(stale.messages.every((message) => message.type !== 'status' || message.appliedRevision !== 99));
  },
);

test('a controller that leads no others is accepted by an agent that knows a term', options, async (t) => {
  const { controllers, data, start } = await several(t, 1);
  const [alone] = controllers as [TestController];
  writeFileSync(join(data, 'controllers.json'), JSON.stringify({ term: 9, controllers: ['127.0.0.1:1'] }));
  alone.program = emptyProgram('node-1', 2);
  await start([alone.address]);
  await until('its program', () => alone.last('status')?.appliedRevision === 2);
});

test(
  'a controller that accepts and says nothing keeps an agent for the time of a handshake at most, and a port that refuses for none',
  options,
  async (t) => {
    const { controllers, data, start } = await several(t, 1);
    const [good] = controllers as [TestController];
    good.program = emptyProgram('node-1', 2);
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const began = performance.now();
    const agent = await start([`127.0.0.1:${port}`, `[::1]:${port}`, good.address]);
    await until('the program', () => good.last('status')?.appliedRevision === 2);
    assert.ok(performance.now() - began < 10_000);
    const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    t.after(() => silent.close());
    await new Promise((resolve) => silent.once('listening', resolve));
    // It has joined before: this is about the connection alone.
    await agent.close();
    good.program = emptyProgram('node-1', 3);
    const silentAddress = `127.0.0.1:${(silent.address() as { port: number }).port}`;
    writeFileSync(join(data, 'controllers.json'), JSON.stringify({ term: 0, controllers: [], last: silentAddress }));
    const again = performance.now();
    await start([good.address, silentAddress]);
    await until('the next program', () => good.last('status')?.appliedRevision === 3);
    const took = performance.now() - again;
    assert.ok(took > 1500 && took < 8000, `the silent one has kept it for ${took} ms`);
  },
);

test('an agent that learns of another controller looks more often whether its own is there', options, async (t) => {
  const { controllers, start } = await several(t, 2);
  const [one, two] = controllers as [TestController, TestController];
  await one.stop();
  one.deaf = true;
  await one.start();
  const list = [one.address, two.address];
  one.leader = { term: 5, controllers: list };
  two.leader = { term: 9, controllers: list };
  two.program = emptyProgram('node-1', 4);
  // Alone, it would not miss the first one for minutes.
  await start([one.address], 60_000);
  await until('the program of the second', () => two.last('status')?.appliedRevision === 4);
});

test('a file of controllers that cannot be read is as none, and addresses that are none are left out', async (t) => {
  const file = join(temporaryFolder(t), 'controllers.json');
  writeFileSync(file, '{"term":');
  const known = await KnownControllers.load({ given: ['a:1'], file, log: testLog });
  assert.deepEqual([known.term, known.current, known.areSeveral], [0, 'a:1', false]);
  assert.equal(known.learn({ type: 'leader', term: 3, controllers: ['b:2', 'no address', 'c:99999'] }), true);
  assert.deepEqual([known.next(), known.current], [true, 'b:2']);
  assert.deepEqual([known.next(), known.current], [false, 'a:1']);
  assert.equal(known.learn({ type: 'leader', term: 2, controllers: ['d:4'] }), false);
  await known.settled();
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { term: 3, controllers: ['b:2'] });
});
