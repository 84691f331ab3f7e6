/** A mirror source that is a real QEMU guest and migrates live: each frame has exactly one copy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event, EventList } from '@mirrorplane/contract';
import type { Capture, CaptureResult } from '@mirrorplane/lab';
import { countedIn } from '@mirrorplane/lab/testing';
import { numberedKey, startGuestNumbers, startNumbers, tally } from './support/guest-numbers.ts';
import { useLab } from './support/lab.ts';
import { activeEventually, policyStatus, withPolicy } from './support/policy.ts';
import { framesOf } from './support/taps.ts';

const lab = useLab({ qemu: ['web-1'], switch: false });
/** To the peer's node, to the destination's, and back: every way that a copy can go. */
const MOVES = ['node-3', 'node-2', 'node-1', 'node-3', 'node-1'];
const BROADCAST = 'ffffffffffff';
const OUTWARD = 1;
const INWARD = 2;
/**
 * Milliseconds after its start in which QEMU announces a guest five times (announce-initial, -step
 * and -rounds of QMP).
 */
const ANNOUNCED_MS = 1500;
/** Seconds. */
const INTERVAL = 0.003;
const CAPTURE = { filter: 'udp port 9 or rarp or arp', snapLength: 256, lines: false, direction: 'in' } as const;

/** Packet captures of the guest's frames, at its tap on each node. */
class Taps {
  readonly results: CaptureResult[] = [];
  #now: Capture | undefined;
  #next: Capture | undefined;

  async comesTo(node: string): Promise<void> {
    this.#next = await lab().capture(node, 'tap-web-1', CAPTURE);
    this.#now ??= this.#next;
  }

  /** It has left: what its old tap has taken until now is all that it sent there. */
  async hasLeft(): Promise<void> {
    if (this.#now !== undefined) {
      this.results.push(await this.#now.stop());
    }
    this.#now = this.#next;
  }
}

/**
 * True once the controller knows of the device on the new node, and the status of the policy names
 * it.
 */
async function seenOn(node: string): Promise<boolean> {
  const { sources } = await policyStatus(lab(), 'moving');
  return sources[0]?.devices.some((device) => device.node === node) ?? false;
}

/** True once the controller knows that the guest runs on the node. */
async function isHome(node: string): Promise<boolean> {
  return (await lab().api('GET', '/api/v1/interfaces/web-1%2F0')).body.home === node;
}

async function moveAround(taps: Taps): Promise<void> {
  let resumed = 0;
  for (const node of MOVES) {
    const times = await lab().migrate('web-1', node, {
      beforeSwitchOver: async () => {
        await taps.comesTo(node);
        await until(`device on ${node} in the status`, () => seenOn(node), { limitMs: 20_000 });
      },
      afterSwitchOver: async () => {
        // Both nodes know that the guest has moved: from now on a copy at the old one would be
        // counted as duplicated.
        await until(`home on ${node}`, () => isHome(node), { limitMs: 20_000 });
        await activeEventually(lab(), 'moving');
        await taps.hasLeft();
      },
    });
    assert.ok(times?.stopped && times.resumed);
    resumed = times.resumed;
    await activeEventually(lab(), 'moving');
  }
  // Otherwise an announcement reaches only one capture, because the other has ended.
  await until('the last announcement', () => Date.now() > resumed + ANNOUNCED_MS);
}

interface Move {
  node: string;
  ms: number;
  missed: number;
  duplicated: number | undefined;
}

/** The events of the moves, after all of them are reported. */
async function reportedMoves(): Promise<Move[]> {
  let moves: Event[] = [];
  await until(
    'events of all moves',
    async () => {
      const { body } = await lab().api('GET', '/api/v1/events?object=interface/web-1/0&kind=migrationMeasured');
      moves = (body as EventList).items;
      return moves.length >= MOVES.length;
    },
    { limitMs: 20_000 },
  );
  return moves.map(({ node = '', ms = -1, missed = -1, duplicated }) => ({ node, ms, missed, duplicated }));
}

/** What has another number of copies than it must have, as `KEY: SEEN of WANTED`. */
function wrongCopies(
  seen: Map<string, number>,
  wanted: Map<string, number>,
  isOurs: (key: string) => boolean,
): string[] {
  const keys = new Set([...wanted.keys(), ...[...seen.keys()].filter(isOurs)]);
  return [...keys].flatMap((key) => {
    const [copies, frames] = [seen.get(key) ?? 0, wanted.get(key) ?? 0];
    return copies === frames ? [] : [`${key.slice(0, 60)}: ${copies} of ${frames}`];
  });
}

test('each frame that a guest sends or gets while it migrates live has exactly one copy', async () => {
  await withPolicy(lab(), { name: 'moving', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    const peer = lab().mac('app-1').replaceAll(':', '');
    const destination = await lab().capture('ids-1', 'eth0', CAPTURE);
    const taps = new Taps();
    await taps.comesTo('node-1');
    const outward = await startGuestNumbers(lab(), 'web-1', 'app-1', OUTWARD, INTERVAL);
    const inward = startNumbers(lab(), 'app-1', 'web-1', INWARD, INTERVAL);
    await moveAround(taps);
    await outward.stop();
    const sentInward = await inward.stop();
    await taps.hasLeft();
    const guest = countedIn((await lab().exec('web-1', ['probe', 'report'])).stdout);
    const taken = await destination.stop();
    assert.equal(guest.lost, 0, 'the guest had room for all');
    for (const { dropped } of [...taps.results, taken]) {
      assert.equal(dropped, 0, 'a capture lost packets');
    }

    const [copied = [], ...atTaps] = await framesOf(taken, ...taps.results);
    const key = (frame: string) => numberedKey(frame) ?? frame;
    const fromPeer = (k: string) => k.startsWith(`${peer}/`);
    const copies = tally(copied.map(key));
    // The destination is in the same network, so it gets a broadcast as an original and as a copy.
    const sent = tally(atTaps.flat().flatMap((frame) => (frame.startsWith(BROADCAST) ? [frame, frame] : [key(frame)])));
    const got = (guest.streams.get(INWARD) ?? []).flatMap((n, number) => (n ? [`${peer}/${INWARD}/${number}`] : []));
    const came = new Set(got);
    // What came to the old tap when the guest had left it never came to the guest: then a copy of
    // it may be, or not.
    const lostOnTheWay = [...copies].filter(([k, n]) => fromPeer(k) && n === 1 && !came.has(k)).map(([k]) => k);
    const received = tally([...got, ...lostOnTheWay]);
    const numbers = [...sent.keys()].filter((k) => k.includes('/')).length;
    console.log(`sent: ${numbers} numbers, ${sent.size - numbers} kinds of others; got ${got.length} of ${sentInward}`);
    assert.ok(numbers > 500 && got.length > 500);
    assert.deepEqual(
      {
        sent: wrongCopies(copies, sent, (k) => !fromPeer(k)),
        received: wrongCopies(copies, received, fromPeer),
      },
      { sent: [], received: [] },
    );
    const moves = await reportedMoves();
    for (const { node, ms, missed, duplicated } of moves) {
      console.log(
        `to ${node}: captured ${ms} ms after its device was seen, ${missed} missed, ${duplicated ?? 'unknown'} duplicated`,
      );
    }
    assert.deepEqual(
      moves.map(({ node, missed }) => ({ node, missed })),
      MOVES.map((node) => ({ node, missed: 0 })),
      'what the product itself says of each move',
    );
    // If the old device is removed before its agent knows that the guest has left, the number is
    // unknown.
    const known = moves.flatMap(({ duplicated }) => (duplicated === undefined ? [] : [duplicated]));
    assert.ok(known.length > 0);
    assert.ok(
      known.every((duplicated) => duplicated === 0),
      `duplicated: ${known}`,
    );
  });
});
