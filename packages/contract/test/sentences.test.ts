/** Messages are made of codes and values, in one place. */
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  CATALOGUE,
  type ErrorCode,
  messageOf,
  type Params,
  RULE_SENTENCES,
  remedyOf,
  SENTENCES,
  say,
  sayRule,
} from '@mirrorplane/contract';

/** A value for each name of a sentence. */
function valuesOf(sentence: string): Params {
  const names = [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  return Object.fromEntries(names.filter((name) => name !== 'remedy').map((name) => [name, `<${name}>`]));
}

const all = [SENTENCES, RULE_SENTENCES].flatMap((sentences) =>
  Object.entries(sentences).flatMap(([code, list]) => list.map((sentence) => ({ sentences, code, sentence }))),
);

test('every sentence is found by its own values', () => {
  assert.ok(all.length > 30);
  for (const { sentences, code, sentence } of all) {
    const expected = sentence
      .replaceAll('{remedy}', CATALOGUE[code as ErrorCode].remedy)
      .replaceAll(/\{(\w+)\}/g, '<$1>');
    assert.equal(messageOf(code, valuesOf(sentence), sentences), expected);
  }
});

test('the same code and values give the message in another language', () => {
  const { code, params, message, remedy } = say('COPIES_LOST', { from: 'a', to: 'b', lately: 3, ever: 40 });
  assert.match(message, /^3 copies from node "a" to node "b" were lost recently, 40 in all: check the underlay/);
  assert.equal(remedy, CATALOGUE.COPIES_LOST.remedy);
  const german = { COPIES_LOST: ['{lately} von {ever} Kopien gingen von {from} nach {to} verloren'] };
  assert.equal(messageOf(code, params, german), '3 von 40 Kopien gingen von a nach b verloren');
});

test('lists and counts have one form, and what a node says is passed on as it is', () => {
  assert.match(
    say('COPIES_DROPPED', { node: 'n', packets: 6, reasons: { overBudget: 5, feedback: 1 } }).message,
    /^node "n" dropped 6 copies \(overBudget 5, feedback 1\): see the counters by reason$/,
  );
  assert.match(
    say('SOURCE_ABSENT', { interface: 'web-1/0', boundTo: 'n', claimants: ['m', 'o'] }).message,
    /bound to node "n", but "m", "o" has it: .* release web-1\/0"$/,
  );
  const told = { node: 'n', text: 'the device {tap1} is down' };
  assert.equal(say('DEVICE_DOWN', told).message, 'node "n": the device {tap1} is down');
  assert.equal(say('SOMETHING_NEWER', told).message, 'node "n": the device {tap1} is down');
  assert.equal(remedyOf('SOMETHING_NEWER'), undefined);
  assert.throws(() => messageOf('COPIES_LOST', { from: 'a' }), /COPIES_LOST has no sentence with from/);
});

test('a refusal has its values beside its message, and text of an operator cannot pretend to be ours', () => {
  const refused = sayRule('POLICY_SOURCE_IN_USE', { source: 'web-1/0', policy: 'ids' });
  assert.equal(refused.message, '"web-1/0" is a source of policy "ids": remove it from the sources of "ids" first');
  assert.deepEqual(refused.params, { source: 'web-1/0', policy: 'ids' });
  assert.equal(refused.remedy, CATALOGUE.POLICY_SOURCE_IN_USE.remedy);
  const { message } = sayRule('POLICY_NAME_INVALID', { name: 'a" is fine\n' });
  assert.match(message, /^"a\\" is fine\\n" is not a valid name/);
});
