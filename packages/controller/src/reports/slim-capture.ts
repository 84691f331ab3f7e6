/**
 * Reports of captures, as they are kept: there are two for each source, and most of what they say
 * is the same as before, or nothing. Equal parts are one object. Nobody changes reports.
 */
import { type CaptureReport, type Count, ZERO } from '@mirrorplane/contract';

const NONE = Object.freeze({});

/** The same report. @param like an earlier one of the same capture */
export function slimCapture(report: CaptureReport, like: CaptureReport | undefined): CaptureReport {
  const { life, counts } = report;
  const { policy, source, direction } = like ?? report;
  const { matched, sampledOut, copied, truncated, dropped, skipped } = counts;
  const before = like?.counts;
  return {
    ...{ policy, source, direction },
    ...(life !== undefined && { life }),
    counts: {
      matched: sameCount(matched, before?.matched),
      sampledOut: sameCount(sampledOut, before?.sampledOut),
      copied: sameCount(copied, matched),
      truncated: sameCount(truncated, before?.truncated),
      dropped: isEmpty(dropped) ? NONE : dropped,
      skipped: isEmpty(skipped) ? NONE : skipped,
    },
  };
}

/** The count itself, or an equal one that is there already. */
function sameCount(count: Count, other: Count | undefined): Count {
  if (count.packets === 0 && count.bytes === 0) {
    return ZERO;
  }
  return other?.packets === count.packets && other.bytes === count.bytes ? other : count;
}

function isEmpty(counts: object): boolean {
  for (const _ in counts) {
    return false;
  }
  return true;
}
