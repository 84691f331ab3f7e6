/**
 * Reports of captures, as they are kept: there are two for each source, and most of what they say
 * is the same as before, or nothing. Equal parts are one object.
 */
import { type CaptureReport, type Count, ZERO } from '@mirrorplane/contract';

const NONE = Object.freeze({});

/**
 * The same report, with parts that are shared. The report itself is changed: who has read it from a
 * message keeps no other one.
 * @param like an earlier one of the same capture
 */
export function slimCapture(report: CaptureReport, like: CaptureReport | undefined): CaptureReport {
  const { counts } = report;
  const { matched, sampledOut, copied, truncated, dropped, skipped } = counts;
  const before = like?.counts;
  if (like) {
    report.policy = like.policy;
    report.source = like.source;
    report.direction = like.direction;
  }
  counts.matched = sameCount(matched, before?.matched);
  counts.sampledOut = sameCount(sampledOut, before?.sampledOut);
  counts.copied = sameCount(copied, counts.matched);
  counts.truncated = sameCount(truncated, before?.truncated);
  counts.dropped = isEmpty(dropped) ? NONE : dropped;
  counts.skipped = isEmpty(skipped) ? NONE : skipped;
  return report;
}

/** The count itself, or an equal one that is there already. */
function sameCount(count: Count, other: Count | undefined): Count {
  if (count.packets === 0 && count.bytes === 0) {
    return ZERO;
  }
  return other?.packets === count.packets && other.bytes === count.bytes ? other : count;
}

/** Whether an object has no fields. */
export function isEmpty(counts: object): boolean {
  for (const _ in counts) {
    return false;
  }
  return true;
}
