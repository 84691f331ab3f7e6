/** What a receiver refuses tells forged copies from those of a node that has missed a change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CopyRefusal } from '@mirrorplane/contract';
import { ForgedCopies } from '../src/reports/forged-copies.ts';

const SENDER = '10.9.0.2';
const NONE = { staleSession: 0, wrongAddress: 0, wrongSecret: 0, wrongDevice: 0, tooFar: 0, oddHeader: 0 };

/** Reports one after another, each with more refused packets of the sender. */
function reports(counts: Partial<Record<CopyRefusal, number>>[], isCurrent = true, epoch = () => 'e') {
  const forged = new ForgedCopies();
  for (const [i, more] of counts.entries()) {
    const peers = [{ address: SENDER, ...NONE, ...more }];
    const report = { epoch: epoch(), captures: [], deliveries: [], terminations: [], peers, unknownErspan: 0 };
    forged.take(report, () => isCurrent, i * 1000);
  }
  return forged;
}

for (const reason of ['wrongDevice', 'tooFar', 'oddHeader'] as const) {
  test(`one packet that no node of ours sends is forged: ${reason}`, () => {
    assert.deepEqual(reports([{}, { [reason]: 1 }]).problem(1000), {
      code: 'COPIES_FORGED',
      message: `it refuses ERSPAN that was sent with the address of another node: ${SENDER} (${reason} 1 packets in the last report)`,
    });
  });
}

for (const reason of ['staleSession', 'wrongAddress', 'wrongSecret'] as const) {
  test(`an unknown number is forged if it keeps coming while its node knows better: ${reason}`, () => {
    const growing = [1, 2, 3, 4].map((count) => ({ [reason]: count }));
    assert.equal(reports(growing).problem(3000)?.code, 'COPIES_FORGED');
    assert.equal(reports(growing.slice(1)).problem(3000), undefined, 'two reports may be of a change');
    assert.equal(reports(growing, false).problem(3000), undefined, 'the node has missed a change');
    assert.equal(reports([1, 2, 2, 3, 4].map((count) => ({ [reason]: count }))).problem(4000), undefined);
  });
}

test('the problem ends a minute after the last forged copy, and what was counted before is none', () => {
  const forged = reports([{ tooFar: 7 }, { tooFar: 8 }]);
  assert.ok(forged.problem(61_000));
  assert.equal(forged.problem(61_001), undefined);
  assert.equal(reports([{ tooFar: 7 }, { tooFar: 7 }]).problem(1000), undefined);
  let life = 0;
  assert.equal(reports([{ tooFar: 7 }, { tooFar: 9 }], true, () => `${life++}`).problem(1000), undefined);
});
