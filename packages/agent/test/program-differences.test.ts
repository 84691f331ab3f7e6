/** An agent whose controller sends what has changed of its program. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { emptyProgram, type NodeProgram, numbered, ownOf, type PolicyPart, programOf } from '@mirrorplane/contract';
import { differenceOf, heldParts, heldProgram } from '@mirrorplane/contract/program-difference';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { type RunningAgent, startAgent } from '../src/start.ts';
import { temporaryFolder, testAuthority, testLog } from './support.ts';
import { TestController } from './test-controller.ts';

const options = { timeout: 60_000 };

function part(policy: string, percent = 100): PolicyPart {
  const delivery = { id: `${policy}/local`, policy, kind: 'local', interface: 'ids-1/0' } as const;
  const capture = { policy, kind: 'vm', sourceSlot: 0, direction: 'inbound', delivery: delivery.id, percent } as const;
  return {
    policy,
    captures: [{ id: `${policy}/vm-${policy}/0`, source: `vm-${policy}/0`, ...capture }],
    deliveries: [delivery],
    terminations: [],
  };
}

function program(revision: number, ...parts: PolicyPart[]): NodeProgram {
  return numbered(programOf(ownOf(emptyProgram('node-1', 0)), parts), revision);
}

const ONE = program(1, part('a'), part('b'));
const TWO = program(2, part('a', 50), part('b'));
const THREE = program(3, part('b'), part('c'));

async function cluster(t: TestContext) {
  const controller = new TestController(testAuthority(t));
  await controller.start();
  const datapath = new FakeDatapath();
  const data = temporaryFolder(t);
  let agent: RunningAgent | undefined;
  t.after(async () => {
    await agent?.close();
    await controller.stop();
  });
  const restart = async () => {
    await agent?.close();
    const timing = { backoffMin: 20, backoffMax: 100, ping: 50 };
    const { address, token } = controller;
    agent = await startAgent({ node: 'node-1', controller: address, token, data, datapath, log: testLog, timing });
  };
  const change = (before: NodeProgram, now: NodeProgram) =>
    controller.sendRaw(JSON.stringify({ type: 'programDifference', difference: differenceOf(before, now) }));
  const applied = (revision: number) =>
    until(`revision ${revision}`, () => controller.last('status')?.appliedRevision === revision);
  const captures = () => datapath.state.captures.map(({ id, threshold }) => `${id} ${(threshold / 2 ** 32) * 100}`);
  const file = () => JSON.parse(readFileSync(join(data, 'program.json'), 'utf8'));
  const asked = () => controller.messages.filter(({ type }) => type === 'programWanted');
  return { controller, restart, change, applied, captures, file, asked, data };
}

test('a change is carried out, saved as the whole program, and known again after a restart', options, async (t) => {
  const { controller, restart, change, applied, captures, file, asked } = await cluster(t);
  controller.program = ONE;
  await restart();
  await applied(1);
  assert.deepEqual(controller.last('hello')?.program, undefined);
  change(ONE, TWO);
  await applied(2);
  assert.deepEqual(captures(), ['a/vm-a/0/inbound 50', 'b/vm-b/0/inbound 100']);
  assert.deepEqual(file(), JSON.parse(JSON.stringify(TWO)));
  change(TWO, THREE);
  await applied(3);
  assert.deepEqual(captures(), ['b/vm-b/0/inbound 100', 'c/vm-c/0/inbound 100']);
  controller.program = undefined;
  await restart();
  const hello = await until('another hello', () => {
    const last = controller.last('hello');
    return last?.program && last;
  });
  assert.deepEqual([hello.takesDifferences, hello.program], [true, heldProgram(THREE)]);
  change(THREE, { ...THREE, revision: 4 });
  await applied(4);
  assert.deepEqual(asked(), []);
});

test('the parts of the program are told when they are asked for', options, async (t) => {
  const { controller, restart, change, applied, asked } = await cluster(t);
  controller.program = ONE;
  await restart();
  await applied(1);
  change(ONE, TWO);
  controller.sendRaw('{"type":"partsWanted"}');
  const [question] = await until('an answer', () => asked().length > 0 && asked());
  assert.deepEqual(question, { type: 'programWanted', have: heldParts(TWO) });
});

const unfit: [outcome: string, message: object][] = [
  ['of another program', { type: 'programDifference', difference: differenceOf(TWO, THREE) }],
  ['that lacks a part', { type: 'programDifference', difference: { ...differenceOf(ONE, TWO), parts: [] } }],
  [
    'that has one part too many',
    { type: 'programDifference', difference: { ...differenceOf(ONE, TWO)!, gone: ['b'] } },
  ],
  ['of no form', { type: 'programDifference', difference: {} }],
];
for (const [outcome, message] of unfit) {
  test(`nothing of a change ${outcome} is used, and the whole program is asked for once`, options, async (t) => {
    const { controller, restart, change, applied, captures, file, asked } = await cluster(t);
    controller.program = ONE;
    await restart();
    await applied(1);
    const before = captures();
    controller.sendRaw(JSON.stringify(message));
    await until('a question', () => asked().length > 0);
    controller.sendRaw(JSON.stringify(message));
    change(ONE, TWO);
    controller.send(program(7, part('d')));
    await applied(7);
    assert.deepEqual(asked(), [{ type: 'programWanted' }]);
    assert.deepEqual(before, ['a/vm-a/0/inbound 100', 'b/vm-b/0/inbound 100']);
    assert.ok(
      controller.messages.every((one) => one.type !== 'status' || [0, 1, 7].includes(one.appliedRevision)),
      'no other program was ever in force',
    );
    assert.deepEqual([captures(), file().revision], [['d/vm-d/0/inbound 100'], 7]);
    change(program(7, part('d')), program(8, part('d'), part('a')));
    await applied(8);
  });
}

test('a change that comes before any program is not used', options, async (t) => {
  const { controller, restart, change, asked, data } = await cluster(t);
  await restart();
  await until('it is connected', () => controller.last('inventory'));
  change(ONE, TWO);
  await until('a question', () => asked().length > 0);
  assert.deepEqual(asked(), [{ type: 'programWanted' }]);
  assert.equal(existsSync(join(data, 'program.json')), false);
});
