/**
 * Looks at every count of a report, beside those of another one. Each kind has its own list of counts:
 * reports come by the thousand each second, and a walk over all fields takes ten times as long.
 */
import type { CaptureReport, Count, DeliveryReport, TerminationReport } from '@mirrorplane/contract';

/** @param other the count of the same name in the other report, if there is one */
export type CheckCount = (count: Count, other: Count | undefined) => boolean;

/**
 * Whether every count of a report passes.
 * @param check holds for two equal counts: parts that are one object are not looked into
 */
export type EveryCount<R> = (report: R, other: R | undefined, check: CheckCount) => boolean;

export const everyCaptureCount: EveryCount<CaptureReport> = ({ counts }, other, check) => {
  const others = other?.counts;
  return (
    check(counts.matched, others?.matched) &&
    check(counts.sampledOut, others?.sampledOut) &&
    check(counts.copied, others?.copied) &&
    check(counts.truncated, others?.truncated) &&
    everyReason(counts.dropped, others?.dropped, check) &&
    everyReason(counts.skipped, others?.skipped, check)
  );
};

export const everyDeliveryCount: EveryCount<DeliveryReport> = (report, other, check) =>
  check(report.sent, other?.sent) && (report.feedback === undefined || check(report.feedback, other?.feedback));

export const everyTerminationCount: EveryCount<TerminationReport> = (report, other, check) =>
  check(report.received, other?.received) &&
  check(report.delivered, other?.delivered) &&
  check(report.relayed, other?.relayed) &&
  (report.missing === undefined || check(report.missing, other?.missing)) &&
  (report.late === undefined || check(report.late, other?.late)) &&
  everyReason(report.dropped, other?.dropped, check);

type Reasons = Readonly<Record<string, Count | undefined>>;

function everyReason(reasons: Reasons, others: Reasons | undefined, check: CheckCount): boolean {
  if (reasons === others) {
    return true;
  }
  for (const name in reasons) {
    const count = reasons[name];
    if (count !== undefined && !check(count, others?.[name])) {
      return false;
    }
  }
  return true;
}
