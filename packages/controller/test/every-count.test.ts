/** The counts of a report are looked at one by one, and none is left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CaptureReport, type Count, DeliveryReport, TerminationReport } from '@mirrorplane/contract';
import {
  type EveryCount,
  everyCaptureCount,
  everyDeliveryCount,
  everyTerminationCount,
} from '../src/reports/every-count.ts';

let next = 1;
const count = () => ({ packets: next++, bytes: next++ });
const counts = { matched: count(), sampledOut: count(), copied: count(), truncated: count() };
const capture = CaptureReport.parse({
  ...{ policy: 'p', source: 's', direction: 'inbound', life: 1 },
  counts: { ...counts, dropped: { cloneFailed: count(), overBudget: count() }, skipped: { isCopy: count() } },
});
const delivery = DeliveryReport.parse({ delivery: 'p/local', policy: 'p', sent: count(), feedback: count() });
const termination = TerminationReport.parse({
  ...{ termination: 'p/from/n', policy: 'p', node: 'n', received: count(), delivered: count(), relayed: count() },
  ...{ dropped: { malformed: count(), feedback: count() }, missing: count(), late: count() },
});

/** All counts of a value, however deep they are. */
function countsOf(value: unknown): Count[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return 'packets' in value ? [value as Count] : Object.values(value).flatMap(countsOf);
}

/** Each count of a report is passed with that of a copy, and one that does not pass is found wherever it is. */
function looksAtAll<R extends object>(report: R, every: EveryCount<R>): void {
  const other: R = structuredClone(report);
  const seen: Count[] = [];
  assert.ok(every(report, other, (one, same) => seen.push(one) > 0 && assert.deepEqual(same, one) === undefined));
  assert.deepEqual(new Set(seen), new Set(countsOf(report)));
  assert.equal(seen.length, countsOf(report).length);
  for (const wrong of seen) {
    assert.ok(!every(report, other, (one) => one !== wrong));
  }
  assert.ok(every(report, undefined, (_, none) => none === undefined));
}

test('every count of a capture is looked at', () => looksAtAll(capture, everyCaptureCount));
test('every count of a delivery is looked at', () => looksAtAll(delivery, everyDeliveryCount));
test('every count of a termination is looked at', () => looksAtAll(termination, everyTerminationCount));
