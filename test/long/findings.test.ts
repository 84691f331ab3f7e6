/**
 * The table of faults: each is made in a lab, counted by what the project did not write, and found.
 * No row may name a wrong cause. It is printed at the end.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { FindingAnswer, FindingCause } from '@mirrorplane/contract';
import { defaultTopology } from '@mirrorplane/lab';
import {
  countedByRule,
  droppedByQueue,
  FAULTS,
  NOBODY,
  refusedByDevice,
  SERVICE,
  say,
  sendUdp,
  tryConnections,
  withFault,
  withService,
} from '../support/faults.ts';
import { type Found, findWhile } from '../support/finding.ts';
import { useLab } from '../support/lab.ts';

const lab = useLab({ topology: defaultTopology({ nodes: 2, switch: false, qemu: ['ids-1'] }) });
const PAIR = { from: 'web-1/0', to: 'db-1/0', seconds: 6 };

interface Row {
  fault: string;
  counted: string;
  said: string;
  seconds: number;
}
const table: Row[] = [];

after(() => {
  const lines = table.map(({ fault, counted, said, seconds }) => `| ${fault} | ${counted} | ${said} | ${seconds} |`);
  process.stdout.write(`\n| fault | counted | said | s |\n|---|---|---|---|\n${lines.join('\n')}\n`);
});

function note<T>(fault: string, counted: string, { answer, seconds }: Found<T>): FindingAnswer {
  table.push({ fault, counted, said: answer.message, seconds });
  return answer;
}

function assertCause(answer: FindingAnswer, cause: FindingCause, way?: string, node?: string): void {
  assert.deepEqual([answer.cause, answer.way, answer.node], [cause, way, node], answer.message);
}

test('no fault: nothing was lost, of as many packets as the guest has got', async () => {
  await withService(lab(), async () => {
    const guest = await lab().capture('db-1', 'eth0', { filter: 'tcp', direction: 'in' });
    const found = await findWhile(lab(), PAIR, () => say(lab(), 150, 400, 0.01));
    const { packets } = await guest.stop();
    const answer = note('none', `tcpdump in the guest: ${packets} packets`, found);
    assertCause(answer, 'nothingLost');
    assert.deepEqual([answer.there.sent, answer.there.delivered], [packets, packets]);
  });
});

for (const [name, fault, node, lost] of [
  ['rule of the receiving node, 5 %', FAULTS.lossAtReceiver, 'node-2', 'lostBehind'],
  ['rule of the sending node, 5 %', FAULTS.lossAtSender, 'node-1', 'lostBefore'],
] as const) {
  test(`${name}: the node, the way and the share are those of the rule's counter`, async () => {
    await withService(lab(), () =>
      withFault(lab(), fault, async () => {
        const guest = await lab().capture('db-1', 'eth0', { filter: 'tcp', direction: 'in' });
        const found = await findWhile(lab(), PAIR, () => say(lab(), 200, 400, 0.01));
        const { packets } = await guest.stop();
        const dropped = await countedByRule(lab(), fault);
        const answer = note(name, `nft: ${dropped} dropped; tcpdump in the guest: ${packets} came`, found);
        assertCause(answer, 'filtered', 'there', node);
        assert.deepEqual(
          [answer.there[lost], answer.params.segments, answer.there.delivered],
          [dropped, dropped, packets],
        );
      }),
    );
  });
}

test('a rule with a limit: dropped by a rule, as many as it has counted', async () => {
  await withFault(lab(), FAULTS.rateLimit, async () => {
    const found = await findWhile(lab(), PAIR, () => sendUdp(lab(), 3, 100));
    const dropped = await countedByRule(lab(), FAULTS.rateLimit);
    const answer = note('nft limit rate over 20/second', `nft: ${dropped} of ${found.traffic} dropped`, found);
    assertCause(answer, 'filtered', 'there', 'node-2');
    assert.deepEqual([answer.params.packets, answer.params.ofPackets], [dropped, found.traffic]);
  });
});

test('a shaper at the tap: its queue is full, as often as tc says', async () => {
  await withFault(lab(), FAULTS.shaper, async () => {
    const found = await findWhile(lab(), PAIR, () => sendUdp(lab(), 3, 200));
    const dropped = await droppedByQueue(lab(), 'node-2', 'tap-db-1');
    const answer = note('TBF 800 kbit at the tap', `tc -s: ${dropped} of ${found.traffic} dropped`, found);
    assertCause(answer, 'shaped', 'there', 'node-2');
    assert.deepEqual([answer.device, answer.there.lostAtDevice], ['tap-db-1', dropped]);
  });
});

test('a closed port: the guest itself refuses each connection', async () => {
  const guest = await lab().capture('db-1', 'eth0', { filter: 'tcp[tcpflags] & tcp-rst != 0', direction: 'out' });
  const found = await findWhile(lab(), PAIR, () => tryConnections(lab(), NOBODY, 5));
  const { packets } = await guest.stop();
  const answer = note(
    'closed port',
    `tcpdump in the guest: ${packets} resets sent; web-1: ${JSON.stringify(found.traffic)}`,
    found,
  );
  assertCause(answer, 'portClosed', 'there');
  assert.deepEqual([answer.params.attempts, answer.params.ofAttempts, packets], [5, 5, 5]);
});

test('a rule that rejects: refused in the name of the guest, which has sent nothing', async () => {
  await withService(lab(), () =>
    withFault(lab(), FAULTS.reset, async () => {
      const guest = await lab().capture('db-1', 'eth0', { filter: 'tcp' });
      const found = await findWhile(lab(), PAIR, () => tryConnections(lab(), SERVICE, 5));
      const { packets } = await guest.stop();
      const rejected = await countedByRule(lab(), FAULTS.reset);
      const answer = note(
        'nft reject with tcp reset',
        `nft: ${rejected} rejected; tcpdump in the guest: ${packets} packets`,
        found,
      );
      assertCause(answer, 'resetByRule', 'there', 'node-2');
      assert.deepEqual([answer.params.resets, packets], [rejected, 0]);
    }),
  );
});

test('a stopped guest: it is said to be silent, or not to take its packets', async () => {
  const to = { ...PAIR, to: 'ids-1/0' };
  await lab().setRunning('ids-1', false);
  try {
    const found = await findWhile(lab(), to, () =>
      lab().exec('web-1', ['ping', '-n', '-q', '-c', '20', '-i', '0.1', '-W', '1', lab().address('ids-1')], {
        check: false,
      }),
    );
    const answer = note(
      'stopped guest',
      /(\d+ packets transmitted, \d+ received)/.exec(found.traffic.stdout)![1]!,
      found,
    );
    assert.ok(['guestSilent', 'ringFull'].includes(answer.cause), answer.message);
    assert.equal(answer.way, 'there');
  } finally {
    await lab().setRunning('ids-1', true);
  }
});

test('a stopped guest whose device is full: it does not take its packets, as often as the device has refused', async () => {
  const to = { ...PAIR, to: 'ids-1/0' };
  await lab().setRunning('ids-1', false);
  try {
    const before = await refusedByDevice(lab(), 'node-2', 'tap-ids-1');
    const found = await findWhile(lab(), to, () => sendUdp(lab(), 4, 500, 'ids-1'));
    const refused = (await refusedByDevice(lab(), 'node-2', 'tap-ids-1')) - before;
    const counted = `ip -s: ${refused} of ${found.traffic} refused by the tap`;
    const answer = note('stopped guest, its device full', counted, found);
    assertCause(answer, 'ringFull', 'there', 'node-2');
    assert.deepEqual([answer.params.packets, answer.params.ofPackets], [refused, found.traffic]);
  } finally {
    await lab().setRunning('ids-1', true);
  }
});

test('a small MTU between the nodes: all long packets are lost, and all short ones arrive', async () => {
  await withFault(lab(), FAULTS.underlayMtu, async () => {
    const ping = (size: number) =>
      lab().exec(
        'web-1',
        ['ping', '-n', '-q', '-c', '15', '-i', '0.1', '-W', '1', '-s', String(size), lab().address('db-1')],
        { check: false },
      );
    const guest = await lab().capture('db-1', 'eth0', { filter: 'icmp', direction: 'in' });
    const found = await findWhile(lab(), PAIR, () => Promise.all([ping(56), ping(1400)]));
    const { packets } = await guest.stop();
    const answer = note('MTU 1000 between the nodes', `tcpdump in the guest: ${packets} of 30 pings came`, found);
    assertCause(answer, 'lostBetweenNodes', 'there', 'node-1');
    assert.deepEqual(
      [answer.params.packets, answer.params.throughBytes, answer.params.lostBytes],
      [30 - packets, 98, 1442],
    );
  });
});

test('a path that is cut: lost between the nodes, all of it', async () => {
  await withFault(lab(), FAULTS.cut, async () => {
    const guest = await lab().capture('db-1', 'eth0');
    const found = await findWhile(lab(), PAIR, () => tryConnections(lab(), SERVICE, 2));
    const { packets } = await guest.stop();
    const answer = note('path cut', `tcpdump in the guest: ${packets} packets`, found);
    assertCause(answer, 'lostBetweenNodes', 'there', 'node-1');
    assert.deepEqual([answer.params.segments, packets], [answer.params.ofSegments, 0]);
  });
});

test('nothing sent: it says so', async () => {
  const found = await findWhile(lab(), PAIR, async () => undefined);
  assertCause(note('nothing sent', 'no traffic', found), 'neverSent');
});

test('a look that is overloaded: undetermined, and no cause', async () => {
  await withFault(lab(), FAULTS.lossAtReceiver, async () => {
    const found = await findWhile(lab(), PAIR, () => sendUdp(lab(), 3, 5000));
    const answer = note('overloaded look', `${found.traffic} packets sent in 3 s`, found);
    assertCause(answer, 'undetermined', undefined, answer.node);
    assert.equal(answer.undetermined, 'lookLost');
  });
});
