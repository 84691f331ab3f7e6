/**
 * Copies that two CPUs number each in a lane of its own: what the underlay drops is counted as lost,
 * exactly, and is never taken back. The judge is a rule of nftables that counts what it drops.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PathStatus } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { policyStatus, statusEventually, withPolicy } from './support/policy.ts';
import { allowedCpus, PYTHON, ping } from './support/traffic.ts';

const lab = useLab({ nodes: 2 });
const TRANSFER = join(import.meta.dirname, 'support', 'transfer.py');
const POLICY = { name: 'far', sources: ['web-1/0'], destination: 'ids-1/0' };

const CPUS = allowedCpus().slice(0, 2);

const nft = async (command: string) => (await lab().exec('fabric', ['nft', command])).stdout;

/** Counts copies to node-2 by lane, and drops those that a rule names. */
async function droppingWhere(condition: string): Promise<void> {
  await nft('add table bridge loss');
  await nft('add chain bridge loss out { type filter hook forward priority 0; }');
  for (const cpu of CPUS) {
    await nft(`add rule bridge loss out oifname "u-node-2" ip protocol 47 @th,32,4 ${cpu % 16} counter comment "lane"`);
  }
  await nft(`add rule bridge loss out oifname "u-node-2" ip protocol 47 ${condition} counter drop comment "dropped"`);
}

/** Ends dropping. Returns how many copies were seen in each lane, and dropped. */
async function dropped(): Promise<{ lanes: number[]; drops: number }> {
  const rules = await nft('list table bridge loss');
  await nft('delete table bridge loss');
  const counts = (comment: string) =>
    [...rules.matchAll(new RegExp(`counter packets (\\d+) .*comment "${comment}"`, 'g'))].map((match) =>
      Number(match[1]),
    );
  return { lanes: counts('lane'), drops: counts('dropped')[0]! };
}

/** A ping of each CPU at the same time. */
async function pingOnBoth(count: number, interval = 0.005): Promise<void> {
  await Promise.all(CPUS.map((cpu) => ping(lab(), 'web-1', 'web-2', count, { cpu, interval })));
}

/** One guest sends 3 MB to the other over TCP. */
async function stream(): Promise<void> {
  const file = join(lab().runDir, 'random.bin');
  writeFileSync(file, randomBytes(3_000_000));
  const address = lab().address('web-2');
  const receiver = lab().spawn('web-2', [PYTHON, TRANSFER, 'receive', address, '5001'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(receiver, 'close');
  try {
    await once(receiver.stdout!, 'data', { signal: AbortSignal.timeout(10_000) });
    await lab().exec('web-1', [PYTHON, TRANSFER, 'send', address, '5001', file, '20']);
    await closed;
  } finally {
    receiver.kill('SIGKILL');
  }
}

/** What is shown as lost, while something goes on. It must never go down. */
async function shownDuring(work: Promise<void>): Promise<number[]> {
  const shown: number[] = [];
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  await until(
    'the traffic is over',
    async () => {
      const { lost } = await policyStatus(lab(), 'far');
      if (lost !== null && lost !== shown.at(-1)) {
        shown.push(lost);
      }
      return isOver;
    },
    { limitMs: 60_000 },
  );
  await over;
  for (const [i, lost] of shown.entries()) {
    assert.ok(lost >= (shown[i - 1] ?? 0), `lost went down: ${shown.join(', ')}`);
  }
  return shown;
}

/** What came, and what of it arrived at the destination. */
const deliveredEventually = (packets: number) =>
  statusEventually(lab(), 'far', `${packets} delivered`, ({ delivered }) => delivered?.packets === packets);

/** A test with a policy that copies to the other node. */
function mirroring(what: string, work: () => Promise<void>): void {
  test(what, { skip: CPUS.length < 2 && 'needs two CPUs' }, () => withPolicy(lab(), POLICY, work));
}

mirroring('a loss that was seen stays, while copies of one CPU alone arrive again', async () => {
  await pingOnBoth(25);
  await deliveredEventually(100);
  await droppingWhere('');
  await pingOnBoth(30);
  await statusEventually(lab(), 'far', '120 lost', ({ lost }) => lost === 120);
  assert.deepEqual(await dropped(), { lanes: [60, 60], drops: 120 }, 'each CPU has a lane');
  for (const cpu of CPUS) {
    assert.deepEqual(await shownDuring(ping(lab(), 'web-1', 'web-2', 500, { cpu })), [120], `copies of CPU ${cpu}`);
  }
  assert.equal((await deliveredEventually(2100)).lost, 120);
});

mirroring('what is lost of the first copies of a CPU stays too', async () => {
  const [one, other] = CPUS as [number, number];
  await ping(lab(), 'web-1', 'web-2', 25, { cpu: one });
  await deliveredEventually(50);
  await droppingWhere('');
  await ping(lab(), 'web-1', 'web-2', 30, { cpu: other });
  await statusEventually(lab(), 'far', '60 lost', ({ lost }) => lost === 60);
  assert.equal((await dropped()).drops, 60);
  const both = async () => {
    await ping(lab(), 'web-1', 'web-2', 500, { cpu: one });
    await ping(lab(), 'web-1', 'web-2', 500, { cpu: other });
  };
  assert.deepEqual(await shownDuring(both()), [60]);
});

mirroring('copies that get lost here and there are counted exactly while two CPUs send, and no other', async () => {
  await pingOnBoth(25);
  await deliveredEventually(100);
  await droppingWhere('numgen random mod 7 0');
  const shown = await shownDuring(pingOnBoth(1500, 0.002));
  const { lanes, drops } = await dropped();
  assert.deepEqual(lanes, [3000, 3000]);
  const said = `${shown.join(', ')} lost, ${drops} dropped`;
  assert.ok(drops > 0 && shown.every((lost) => lost <= drops), said);
  // A loss at the end of a lane is known once the sender's report is older than a copy's flight.
  await statusEventually(lab(), 'far', `${drops} of 6100 lost, the others delivered`, ({ lost, delivered, paths }) => {
    return lost === drops && delivered?.packets === 6100 - drops && paths[0]!.sent?.packets === 6100;
  });
  assert.deepEqual(await shownDuring(pingOnBoth(500)), [drops], 'nothing more is lost');
});

mirroring('of super-packets that get lost each segment counts, and stays', async () => {
  await ping(lab(), 'web-1', 'web-2', 25, { cpu: CPUS[0] });
  await deliveredEventually(50);
  await droppingWhere('numgen random mod 5 0');
  const shown = await shownDuring(stream());
  const { drops } = await dropped();
  const { lost } = await statusEventually(lab(), 'far', 'all is delivered or lost', (status) => {
    const [{ sent }] = status.paths as [PathStatus];
    return status.totals.copied.packets === sent?.packets && sent.packets === status.delivered!.packets + status.lost!;
  });
  assert.ok(lost! > drops && lost! >= shown.at(-1)!, `${shown.join(', ')}, then ${lost} lost in ${drops} drops`);
  assert.deepEqual(await shownDuring(pingOnBoth(500)), [lost], 'nothing more is lost');
});
