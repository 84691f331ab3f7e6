/**
 * Where packets between two guests are lost, in one sentence: faults of a lab, counted by nftables,
 * `tc -s` and tcpdump in the guest. test/long/findings.test.ts has all of the table.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultTopology } from '@mirrorplane/lab';
import { countedByRule, FAULTS, say, withFault, withService } from './support/faults.ts';
import { findWhile } from './support/finding.ts';
import { useLab } from './support/lab.ts';

// Guests ask for MAC addresses, as they do outside of a lab: questions to all are seen too.
const lab = useLab({ topology: defaultTopology({ nodes: 2, switch: false, permanentNeighbours: false }) });
const PAIR = { from: 'web-1/0', to: 'db-1/0', seconds: 6 };

test('says that nothing was lost, of as many packets as the guest has got', async () => {
  await withService(lab(), async () => {
    const guest = await lab().capture('db-1', 'eth0', { filter: 'tcp', direction: 'in' });
    const { answer } = await findWhile(lab(), PAIR, () => say(lab(), 150, 400, 0.01));
    const { packets } = await guest.stop();
    assert.equal(answer.cause, 'nothingLost', answer.message);
    const [tcp, arp] = (['tcp', 'arp'] as const).map(
      (name) => answer.conversations.find((one) => one.protocol === name)!,
    );
    assert.deepEqual([tcp!.there.delivered, tcp!.there.sent, tcp!.attempts.accepted], [packets, packets, 1]);
    assert.deepEqual([arp!.there.sent > 0, arp!.there.delivered], [true, arp!.there.sent]);
  });
});

test('names the node and the rule that drops, and as many packets as the rule has counted', async () => {
  await withService(lab(), async () => {
    await withFault(lab(), FAULTS.lossAtReceiver, async () => {
      const { answer } = await findWhile(lab(), PAIR, () => say(lab(), 200, 400, 0.01));
      const dropped = await countedByRule(lab(), FAULTS.lossAtReceiver);
      const { cause, way, node, there, back } = answer;
      assert.deepEqual([cause, way, node], ['filtered', 'there', 'node-2'], answer.message);
      assert.ok(dropped > 0);
      assert.deepEqual([there.lostBehind, there.lostBefore, there.lostAtDevice, back.lostBehind], [dropped, 0, 0, 0]);
      assert.equal(answer.params.segments, dropped);
    });
  });
});
