/** Totals of captures as numbers say the same as totals that are kept as the reports themselves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CaptureCounts, CaptureReport, Passing } from '@mirrorplane/contract';
import { captureId, hookCaptureId } from '@mirrorplane/contract';
import fc from 'fast-check';
import { CaptureShelf } from '../src/reports/capture-shelf.ts';
import { everyCaptureCount } from '../src/reports/every-count.ts';
import { ObjectShelf } from '../src/reports/object-shelf.ts';
import { type JudgeOf, Totals } from '../src/reports/totals.ts';

const count = fc.record({ packets: fc.nat(20), bytes: fc.nat(20) });
const nothing = fc.constant({ packets: 0, bytes: 0 });
const reasons = (name: string) => fc.oneof(fc.constant({}), fc.record({ [name]: count }));
const counts = fc.oneof(
  count.map((all) => ({ matched: all, sampledOut: all, copied: all, truncated: all, dropped: {}, skipped: {} })),
  fc.record({
    ...{ matched: count, sampledOut: fc.oneof(nothing, count), copied: count, truncated: fc.oneof(nothing, count) },
    ...{ dropped: reasons('overBudget'), skipped: reasons('isCopy') },
  }),
);
const row = fc.record(
  {
    policy: fc.constantFrom('p-1', 'p-2'),
    source: fc.constantFrom('a', 'b/0', 'c'),
    direction: fc.constantFrom('inbound' as const, 'outbound' as const),
    life: fc.nat(1),
    counts,
  },
  { requiredKeys: ['policy', 'source', 'direction', 'counts'] },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ reports: fc.array(row, { maxLength: 8 }), newEpoch: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant('tick' as const) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
  { weight: 1, arbitrary: fc.constantFrom('p-1' as const, 'p-2' as const) },
);

const id = ({ policy, source, direction }: CaptureReport) => hookCaptureId(captureId(policy, source), direction);
const numbers = (saved?: ReturnType<Totals<CaptureReport, never, never>['save']>) =>
  new Totals(new CaptureShelf(), saved);
const objects = (saved?: ReturnType<Totals<CaptureReport, never, never>['save']>) =>
  new Totals(new ObjectShelf<CaptureReport>({ id, every: everyCaptureCount }), saved);

/** Counts without reasons that counted nothing. */
function plain({ dropped, skipped, ...others }: Partial<CaptureCounts>) {
  const counted = (all: object = {}) =>
    Object.fromEntries(Object.entries(all).filter(([, one]) => one.packets !== 0 || one.bytes !== 0));
  return JSON.parse(JSON.stringify({ ...others, dropped: counted(dropped), skipped: counted(skipped) }));
}

/** What readers of totals can tell apart, in an order that does not matter. */
function toldBy(totals: ReturnType<typeof numbers> | ReturnType<typeof objects>) {
  const rows = ['p-1', 'p-2'].flatMap((policy) => [...totals.counted(policy, true)]);
  const told = rows.map(({ report, before }) => {
    const { copied, dropped, truncated } = before?.counts ?? {};
    const lost =
      before && plain({ ...(copied && { copied }), ...(truncated && { truncated }), ...(dropped && { dropped }) });
    return [id(report), report.life, plain(report.counts), lost];
  });
  const sums = totals.sums().map((report) => [id(report), plain(report.counts)]);
  const byId = (a: unknown[], b: unknown[]) => (String(a[0]) < String(b[0]) ? -1 : 1);
  return { told: told.sort(byId), sums: sums.sort(byId), policies: [...totals.policies()].sort() };
}

/** Hands over one object for each report, and writes into it when it was looked at. */
function passing(reports: readonly CaptureReport[]): Passing<CaptureReport> {
  return {
    forEach: (visit) => {
      for (const one of reports) {
        const report: CaptureReport = JSON.parse(JSON.stringify(one));
        visit(report);
        const { matched, sampledOut, copied, truncated } = report.counts;
        for (const count of [matched, sampledOut, copied, truncated]) {
          count.packets += 1000;
        }
        Object.assign(report, { policy: 'none', source: 'none', life: 1000 });
        report.counts.dropped = { noDelivery: { packets: 1000, bytes: 1000 } };
      }
    },
  };
}

/** Nothing that goes back is believed, and one source belongs to another node. */
const judge: JudgeOf<CaptureReport> = {
  fits: () => true,
  owns: ({ source }) => source !== 'c',
  seconds: () => Number.POSITIVE_INFINITY,
  mayBring: ({ policy }) => policy === 'p-1',
};

test('totals as numbers and totals as reports cannot be told apart', () => {
  let [compared, refusals] = [0, 0];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, isJudged) => {
      let [a, b] = [numbers(), objects()];
      for (const one of steps) {
        if (one === 'tick') {
          a.tick();
          b.tick();
        } else if (one === 'restart') {
          const saved = [a.save(), b.save()].map((all) => JSON.parse(JSON.stringify(all)));
          [a, b] = [numbers(saved[0]), objects(saved[1])];
        } else if (typeof one === 'string') {
          assert.equal(
            a.prune((policy) => policy !== one),
            b.prune((policy) => policy !== one),
          );
        } else {
          const refused: string[][] = [[], []];
          const grown: unknown[][] = [[], []];
          for (const [at, totals] of [a, b].entries()) {
            (totals as typeof a).take(
              at === 0 ? passing(one.reports) : structuredClone(one.reports),
              one.newEpoch,
              isJudged ? judge : undefined,
              (why, report) => refused[at]!.push(`${why} ${id(report)}`),
              (now, before) =>
                grown[at]!.push([
                  id(now),
                  plain(now.counts),
                  before && [id(before), before.life, plain(before.counts)],
                ]),
            );
          }
          assert.deepEqual(refused[0], refused[1]);
          assert.deepEqual(grown[0], grown[1]);
          refusals += refused[0]!.length;
        }
        const told = toldBy(a);
        assert.deepEqual(told, toldBy(b));
        compared += told.told.filter(([, , , before]) => before).length;
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(compared > 100 && refusals > 100, `${compared} earlier sums, ${refusals} refusals`);
});
