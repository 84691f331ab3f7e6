/**
 * A mirror destination that is a real QEMU guest and migrates live: it gets every copy, and says so
 * itself. MOVES=number of moves, default 3.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event, EventList } from '@mirrorplane/contract';

import { countedIn } from '@mirrorplane/lab/testing';
import { runsOf, startNumbers } from '../support/guest-numbers.ts';
import { useLab } from '../support/lab.ts';
import { activeEventually, policyStatus, withPolicy } from '../support/policy.ts';

const lab = useLab({ qemu: ['ids-1'], switch: false });
/** From its own node to the source's node, to the peer's node, and back. */
const ROUND = ['node-1', 'node-3', 'node-2'];
const MOVES = Array.from({ length: Number(process.env.MOVES ?? ROUND.length) }, (_, i) => ROUND[i % ROUND.length]!);
const OUTWARD = 1;
const INWARD = 2;
/** Seconds. */
const INTERVAL = 0.004;

/**
 * True once the controller knows of the device on the new node, and the status of the policy names
 * it.
 */
async function seenOn(node: string): Promise<boolean> {
  const { destination } = await policyStatus(lab(), 'watching');
  return destination.devices.some((device) => device.node === node);
}

/** What the product itself says of the moves. */
async function reportedMoves(): Promise<Event[]> {
  let moves: Event[] = [];
  await until(
    'events of all moves',
    async () => {
      const { body } = await lab().api('GET', '/api/v1/events?object=interface/ids-1/0&kind=migrationMeasured');
      moves = (body as EventList).items;
      return moves.length >= MOVES.length;
    },
    { limitMs: 20_000 },
  );
  return moves;
}

test('a destination that migrates live gets every copy, and none twice but those of which the product says so', async () => {
  await withPolicy(lab(), { name: 'watching', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    const report = async () => countedIn((await lab().exec('ids-1', ['probe', 'report'])).stdout);
    const outward = startNumbers(lab(), 'web-1', 'app-1', OUTWARD, INTERVAL);
    const inward = startNumbers(lab(), 'app-1', 'web-1', INWARD, INTERVAL);
    for (const node of MOVES) {
      const times = await lab().migrate('ids-1', node, {
        beforeSwitchOver: () => until(`device on ${node} in the status`, () => seenOn(node), { limitMs: 20_000 }),
      });
      assert.ok(times?.stopped && times.resumed);
      console.log(`${node}: stood still for ${(times.resumed - times.stopped).toFixed(0)} ms`);
      await activeEventually(lab(), 'watching');
    }
    const sent = new Map([
      [OUTWARD, await outward.stop()],
      [INWARD, await inward.stop()],
    ]);
    // Copies of the last ones may still be under way; what has not come then will not come.
    const { lost, streams } = await settled(report);
    assert.equal(lost, 0, 'the guest had room for all');
    const moves = await reportedMoves();
    for (const { from, node, count, missed, duplicated } of moves) {
      console.log(`${from} to ${node}: ${count} sent on, ${missed} missed, ${duplicated} duplicated at most`);
    }
    assert.deepEqual(
      moves.map(({ node }) => node),
      MOVES,
    );
    assert.deepEqual(
      moves.map(({ missed }) => missed),
      MOVES.map(() => 0),
    );
    let twice = 0;
    for (const [stream, count] of sent) {
      const counts = Array.from({ length: count }, (_, number) => streams.get(stream)?.[number] ?? 0);
      assert.deepEqual(
        runsOf(counts).filter((run) => run.count === 0),
        [],
        `stream ${stream}: no copy is missing`,
      );
      assert.ok(counts.every((times) => times <= 2));
      const duplicated = counts.filter((times) => times === 2).length;
      console.log(`stream ${stream}: ${count} sent, 0 missing, ${duplicated} twice`);
      twice += duplicated;
    }
    assert.ok(twice <= moves.reduce((sum, { duplicated }) => sum + duplicated!, 0), 'no more than the product says');
  });
});

/** Asks until two answers, with a ping through the guest in between, are the same. */
async function settled<T>(ask: () => Promise<T>): Promise<T> {
  let last = await ask();
  await until('copies to have come', async () => {
    // Answered or not, by then the guest has had the time to read what it had.
    await lab().exec('web-2', ['ping', '-c', '2', '-i', '0.2', '-W', '2', lab().address('ids-1')], { check: false });
    const before = JSON.stringify(last, entries);
    last = await ask();
    return JSON.stringify(last, entries) === before;
  });
  return last;
}

const entries = (_: string, value: unknown) => (value instanceof Map ? [...value] : value);
