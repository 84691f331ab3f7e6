/** A destination that is a real QEMU guest, and does not read what it is given. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DestinationSummary, PolicyStatus } from '@mirrorplane/contract';
import { machineSockets, Qmp } from '@mirrorplane/lab/testing';
import { useLab } from './support/lab.ts';
import { activeEventually, policyStatus, statusEventually, withPolicy } from './support/policy.ts';
import { PYTHON } from './support/traffic.ts';

const lab = useLab({ qemu: ['ids-1'], switch: false });
const PACED = join(import.meta.dirname, 'support/paced_udp.py');
const POLICY = { name: 'watched', sources: ['web-1/0'], destination: 'ids-1/0' };
/** Packets a second: the guest reads so many, also without KVM. */
const RATE = '500';
/** Milliseconds from the end of reading until the status names it: the ring of a tap has room for 1,000 packets. */
const NAMED_MS = 15_000;

const slowness = ({ reasons }: PolicyStatus) => reasons.find(({ code }) => code === 'DESTINATION_SLOW');

async function reading(): Promise<DestinationSummary['reading']> {
  const { body } = await lab().api('GET', '/api/v1/destinations');
  return (body as { items: DestinationSummary[] }).items.find(({ id }) => id === POLICY.destination)!.reading;
}

/** What the kernel says of the tap: packets that it dropped. */
async function dropsOfTap(): Promise<number> {
  const { stdout } = await lab().exec('node-2', ['ip', '-j', '-s', 'link', 'show', 'tap-ids-1']);
  return JSON.parse(stdout)[0].stats64.tx.dropped;
}

test('a monitor that does not read is named within seconds, and not once it reads again', async () => {
  const qmp = await Qmp.connect(machineSockets(lab(), 'ids-1', 'node-2').qmp);
  const argv = [PYTHON, PACED, 'send', lab().address('db-1'), '9', '300', RATE];
  try {
    await withPolicy(lab(), POLICY, async () => {
      await activeEventually(lab(), POLICY.name);
      const sender = lab().spawn('web-1', argv, { stdio: 'ignore' });
      try {
        const reads = await until(
          'the guest to read copies',
          async () => {
            const now = await reading();
            return now !== null && now.read > 100 ? now : undefined;
          },
          { limitMs: 30_000 },
        );
        assert.equal(reads.unread, 0, 'it keeps up');
        assert.equal(slowness(await policyStatus(lab(), POLICY.name)), undefined);
        const before = await dropsOfTap();
        await qmp.execute('stop');
        const status = await statusEventually(
          lab(),
          POLICY.name,
          'slow',
          (now) => slowness(now) !== undefined,
          NAMED_MS,
        );
        assert.equal(status.state, 'degraded');
        const reason = slowness(status)!;
        assert.deepEqual([reason.interface, reason.node], ['ids-1/0', 'node-2']);
        assert.match(reason.message, /its device "tap-ids-1" on node "node-2" dropped \d+ packets a second/);
        assert.ok((await dropsOfTap()) > before, 'the kernel counts the same');
        const unread = await until(
          'the rate of all copies',
          async () => {
            const now = await reading();
            return now !== null && now.unread > 0.6 * Number(RATE) ? now : undefined;
          },
          { limitMs: 30_000 },
        );
        assert.ok(unread.unread < 1.4 * Number(RATE) && unread.read < 0.2 * Number(RATE), JSON.stringify(unread));
        const { lost } = await policyStatus(lab(), POLICY.name);
        assert.equal(lost, 0, 'the mirror lost none');
        await qmp.execute('cont');
        await statusEventually(lab(), POLICY.name, 'reads again', (now) => slowness(now) === undefined, 60_000);
        const after = await until(
          'the guest to keep up again',
          async () => {
            const now = await reading();
            return now !== null && now.read > 100 && now.unread === 0 ? now : undefined;
          },
          { limitMs: 30_000 },
        );
        assert.equal(after.unread, 0);
      } finally {
        sender.kill('SIGKILL');
      }
    });
  } finally {
    await qmp.execute('cont').catch(() => undefined);
    qmp.close();
  }
});
