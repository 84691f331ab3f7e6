/**
 * A short chaos run: random changes, faults and interference under traffic, judged by captures on
 * every device. The seeds are always the same, so that what is found before a change lands is found
 * again. `make chaos` draws new ones, and runs for minutes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { homeward, rounds } from './chaos/plan.ts';
import { failureText } from './chaos/report.ts';
import { ChaosRun } from './chaos/run.ts';
import { Timeline } from './chaos/timeline.ts';
import { uninstallProblems } from './chaos/uninstall.ts';
import { countersIn, fallen, surplus, surplusInMetrics } from './chaos/watch.ts';
import { firstWorld } from './chaos/world.ts';
import { useLab } from './support/lab.ts';

const lab = useLab();

test('the same seed gives the same steps', () => {
  const first = (seed: number) =>
    JSON.stringify(
      Array.from(
        { length: 20 },
        (
          (all) => () =>
            all.next().value
        )(rounds(seed)),
      ),
    );
  assert.equal(first(5), first(5));
  assert.notEqual(first(5), first(6));
});

test('more delivered than sent is seen, in a status and in the metrics', () => {
  const line = (stage: string, packets: number) =>
    `mirrorplane_path_${stage}_packets_total{policy="p1",from="node-1",to="node-2"} ${packets}`;
  const metrics = (sent: number, received: number, delivered: number) =>
    [line('sent', sent), line('received', received), line('delivered', delivered)].join('\n');
  const judged = new Set(['p1']);
  assert.deepEqual(surplusInMetrics(metrics(7, 7, 7), judged), []);
  assert.deepEqual(surplusInMetrics(metrics(7, 7, 8), judged), [
    'metrics: p1 node-1 to node-2: 7 sent, 7 received, 8 delivered',
  ]);
  assert.deepEqual(surplusInMetrics(metrics(7, 7, 8), new Set()), []);
  assert.equal(surplus('here', { sent: 5, received: 6, delivered: undefined })?.startsWith('here: 5 sent'), true);
  assert.equal(surplus('here', { sent: undefined, received: 6, delivered: 6 }), undefined);
});

test('a counter that goes back is seen in the metrics', () => {
  const counters = (packets: number) =>
    countersIn(`mirrorplane_policy_delivered_packets_total{policy="p1"} ${packets}`);
  assert.deepEqual(fallen(counters(7), counters(7)), []);
  assert.deepEqual(fallen(counters(7), counters(6)), [
    'mirrorplane_policy_delivered_packets_total{policy="p1"} fell from 7 to 6',
  ]);
  assert.deepEqual(fallen(new Map(), counters(6)), []);
});

test('the status of a policy narrows down the possible states, if no step came in between', () => {
  const [before, after] = [firstWorld(), firstWorld()];
  const spec = { name: 'p1', sources: ['web-1/0'], destination: 'ids-1/0', direction: 'all', percent: 100 } as const;
  before.policies.p1 = { ...spec, sources: [...spec.sources], enabled: true };
  after.policies.p1 = { ...before.policies.p1, enabled: false };
  const timeline = new Timeline(before, 0);
  timeline.change(after, 10_000);
  timeline.confirm('p1', 11_000, 12_000);
  const enabled = (at: number) => timeline.worlds(at).map(({ policies }) => policies.p1!.enabled);
  assert.deepEqual(enabled(10_500), [true, false]);
  assert.deepEqual(enabled(11_500), [false, false]);
  assert.deepEqual(enabled(11_900), [true, false]);
});

/** Runs the first rounds of a seed, and then puts everything back. */
async function chaos(seed: number, count: number): Promise<ChaosRun> {
  const run = await ChaosRun.start(lab(), seed);
  const replay = `make chaos SEED=${seed} ROUNDS=${count}`;
  try {
    const planned = rounds(seed);
    for (let round = 0; round < count; round++) {
      assert.ok(await run.round(planned.next().value), failureText(run, replay));
    }
    assert.ok(await run.round(homeward(run.world)), failureText(run, replay));
  } finally {
    await run.stop();
  }
  return run;
}

/** Seeds, and how many of their rounds. */
const KNOWN = [
  [20, 2],
  [21, 1],
] as const;

for (const [seed, count] of KNOWN) {
  test(`originals pass, copies are exact and books close through the changes of seed ${seed}`, async (context) => {
    const { summary } = await chaos(seed, count);
    context.diagnostic(JSON.stringify(summary));
    assert.ok(summary.copies > 100 && summary.erspan > 100, `too little was mirrored: ${JSON.stringify(summary)}`);
  });
}

test('uninstalled after all that, the agents leave nothing behind', async () => {
  const problems = await Promise.all(lab().topology.nodes.map(({ name }) => uninstallProblems(lab(), name)));
  assert.deepEqual(problems.flat(), []);
});
