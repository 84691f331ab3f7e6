/** What a connection sends of the programs that its agent is to have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  asItCame,
  type Capture,
  ControllerMessage,
  emptyProgram,
  type Hello,
  type NodeProgram,
  numbered,
  ownOf,
  type PolicyPart,
  programOf,
} from '@mirrorplane/contract';
import { heldParts, heldProgram, withDifference } from '@mirrorplane/contract/program-difference';
import { ProgramSender } from '../../src/sync/program-sender.ts';

function part(policy: string, percent = 100): PolicyPart {
  const capture: Capture = {
    ...{ id: `${policy}/vm/0`, policy, source: 'vm/0', kind: 'vm', sourceSlot: 0 },
    ...{ direction: 'all', percent, delivery: `${policy}/local` },
  };
  return { policy, captures: [capture], deliveries: [], terminations: [] };
}

function program(revision: number, ...parts: PolicyPart[]): NodeProgram {
  return numbered(programOf(ownOf(emptyProgram('node-1', 0)), parts), revision);
}

/** A sender, and an agent that takes what is sent. */
function connected(hello: Pick<Hello, 'takesDifferences' | 'program'>, has?: NodeProgram) {
  const kinds: string[] = [];
  const agent = { has };
  const sender = new ProgramSender((text) => {
    const raw = JSON.parse(text);
    const message = ControllerMessage.parse(raw);
    kinds.push(message.type);
    if (message.type === 'program') {
      agent.has = asItCame(raw.program, message.program);
    } else if (message.type === 'programDifference') {
      agent.has = withDifference(agent.has!, asItCame(raw.difference, message.difference)) ?? assert.fail('it fits');
    }
  });
  sender.begin(hello);
  return { sender, kinds, agent };
}

const ONE = program(1, part('a'), part('b'));
const TWO = program(2, part('a', 25), part('b'));
const THREE = program(3, part('b'), part('c'));

test('an agent of an earlier version gets whole programs, each once', () => {
  const { sender, kinds, agent } = connected({ program: heldProgram(ONE) });
  for (const one of [ONE, ONE, TWO, THREE]) {
    sender.send(one);
  }
  assert.deepEqual(kinds, ['program', 'program', 'program']);
  assert.deepEqual(agent.has, THREE);
  assert.ok(sender.wanted(undefined), 'it was never offered anything else');
});

test('an agent without a program gets a whole one, and then what changes', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true });
  for (const one of [ONE, TWO, TWO, THREE]) {
    sender.send(one);
    assert.deepEqual(agent.has, one);
  }
  assert.deepEqual(kinds, ['program', 'programDifference', 'programDifference']);
});

test('an agent that has the program gets nothing, and then what changes', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true, program: heldProgram(ONE) }, ONE);
  sender.send(ONE);
  assert.deepEqual([kinds, sender.revision], [[], 1]);
  sender.send(TWO);
  assert.deepEqual([kinds, agent.has], [['programDifference'], TWO]);
});

test('an agent with another program says which parts it has, and gets what differs from them', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true, program: heldProgram(ONE) }, ONE);
  sender.send(TWO);
  sender.send(THREE);
  assert.deepEqual(kinds, ['partsWanted']);
  assert.equal(sender.wanted(heldParts(ONE)), undefined);
  assert.deepEqual([kinds, agent.has], [['partsWanted', 'programDifference'], THREE]);
  assert.ok(sender.wanted(heldParts(ONE)), 'nobody asked for it');
});

test('the same content with another revision is a difference without parts', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true, program: heldProgram(ONE) }, ONE);
  sender.send({ ...ONE, revision: 9 });
  sender.wanted(heldParts(ONE));
  assert.deepEqual([kinds, agent.has?.revision], [['partsWanted', 'programDifference'], 9]);
});

test('an agent that a difference did not fit gets the whole program, whole ones from then on, and no second answer', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true });
  sender.send(ONE);
  sender.send(TWO);
  agent.has = undefined;
  assert.equal(sender.wanted(undefined), undefined);
  assert.deepEqual(agent.has, TWO);
  sender.send(THREE);
  assert.deepEqual(kinds, ['program', 'programDifference', 'program', 'program']);
  assert.ok(sender.wanted(undefined));
  assert.equal(kinds.length, 4);
});

test('an agent with too many parts to name them gets the whole program', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true, program: heldProgram(ONE) }, ONE);
  sender.send(TWO);
  assert.equal(sender.wanted(undefined), undefined);
  assert.deepEqual([kinds, agent.has], [['partsWanted', 'program'], TWO]);
});

test('the last program of a node is sent whole at once, also while its parts are asked for', () => {
  const { sender, kinds, agent } = connected({ takesDifferences: true, program: heldProgram(ONE) }, ONE);
  sender.send(TWO);
  sender.sendWhole(emptyProgram('node-1', 3));
  assert.deepEqual([kinds, agent.has], [['partsWanted', 'program'], emptyProgram('node-1', 3)]);
  assert.ok(sender.wanted(heldParts(ONE)));
});
