/** What a total was one to two periods ago, found without looking at all totals in each period. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CounterReport } from '@mirrorplane/contract';
import fc from 'fast-check';
import { CounterTotals } from '../src/reports/counter-totals.ts';

const IDS = ['p/to/a', 'p/to/b', 'p/to/c'];

/** A report of some deliveries, by their place in `IDS`. */
function reportOf(sent: readonly (number | undefined)[], epoch: string): CounterReport {
  const deliveries = sent.flatMap((packets, at) =>
    packets === undefined ? [] : [{ delivery: IDS[at]!, policy: 'p', sent: { packets, bytes: packets } }],
  );
  return { epoch, captures: [], deliveries, terminations: [], peers: [], unknownErspan: 0 };
}

const step = fc.oneof(
  fc.constant('tick' as const),
  fc.record({ grow: fc.array(fc.option(fc.nat(3), { nil: undefined }), { minLength: 3, maxLength: 3 }) }),
  fc.constant('restart' as const),
);

test('what a total was two periods ago is what it was, whenever it has changed', () => {
  let compared = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const totals = new CounterTotals();
      /** Of each delivery: what the agent says, the sum, and the sums at the ends of the last two periods. */
      const model = IDS.map(() => ({
        said: 0,
        sum: undefined as number | undefined,
        ends: [] as (number | undefined)[],
      }));
      let [epoch, hasCounted, counted] = [0, [] as boolean[], false];
      for (const one of steps) {
        if (one === 'tick') {
          totals.tick(new Map(), undefined);
          hasCounted = [...hasCounted, counted].slice(-2);
          for (const each of model) {
            each.ends = [...each.ends, each.sum].slice(-2);
          }
        } else if (one === 'restart') {
          epoch++;
          for (const each of model) {
            each.said = 0;
          }
        } else {
          counted = true;
          const said = one.grow.map((by, at) => {
            const each = model[at]!;
            if (by !== undefined) {
              each.said += by;
              each.sum = (each.sum ?? 0) + by;
            }
            return by === undefined ? undefined : each.said;
          });
          totals.take(reportOf(said, String(epoch)));
        }
      }
      const rows = new Map(totals.counted('p').deliveries.map((row) => [row.report.delivery, row]));
      model.forEach(({ sum, ends }, at) => {
        const row = rows.get(IDS[at]!);
        assert.equal(row?.report.sent.packets, sum);
        const isCompared = hasCounted.length === 2 && hasCounted[0];
        assert.equal(row?.before?.sent.packets, isCompared ? ends[0] : undefined);
        compared += row?.before ? 1 : 0;
      });
    }),
    { numRuns: 500 },
  );
  assert.ok(compared > 100);
});

test('of a capture, what it had copied, dropped and truncated before is compared', () => {
  const totals = new CounterTotals();
  const take = (copied: number, dropped: number, truncated: number) => {
    const count = (packets: number) => ({ packets, bytes: packets });
    const counts = {
      ...{ matched: count(copied + dropped), sampledOut: count(0), copied: count(copied), truncated: count(truncated) },
      ...{ dropped: dropped > 0 ? { overBudget: count(dropped) } : {}, skipped: {} },
    };
    const captures = [{ policy: 'p', source: 's', direction: 'inbound' as const, counts }];
    totals.take({ epoch: 'e', captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0 });
  };
  const before = () => {
    const { copied, dropped, truncated } = totals.counted('p').captures[0]?.before?.counts ?? {};
    return [copied?.packets, dropped?.overBudget?.packets, truncated?.packets];
  };
  take(1, 0, 0);
  totals.tick();
  take(2, 3, 0);
  totals.tick();
  assert.deepEqual(before(), [1, undefined, 0]);
  take(5, 3, 4);
  totals.tick();
  assert.deepEqual(before(), [2, 3, 0]);
  totals.tick();
  assert.deepEqual(before(), [5, 3, 4]);
});
