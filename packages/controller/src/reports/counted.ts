/** Which counters of a node are believed, and which are refused. */
import type { CaptureReport, DeliveryReport, TerminationReport } from '@mirrorplane/contract';

/** Kinds of counters. */
export type Counted = 'capture' | 'delivery' | 'termination';
export type ReportOf = { capture: CaptureReport; delivery: DeliveryReport; termination: TerminationReport };

/**
 * Why a count is refused. `foreign`: the node does not have the part. `backward`: it has decreased.
 * `implausible`: it has grown too fast.
 */
export type RefusedCount = 'foreign' | 'backward' | 'implausible';

/** Decides which counters a node may report. */
export interface CounterJudge {
  /** Whether a report names the policy, and the other node, that are in its id. */
  fits: (kind: Counted, report: ReportOf[Counted]) => boolean;
  /**
   * Whether the node has a part that it reports for the first time. `unknown`: the part belongs to
   * a policy that no longer exists, which is no fault.
   */
  owns: (kind: Counted, report: ReportOf[Counted]) => boolean | 'unknown';
  /**
   * The time in which the count can have grown, seconds: since the last reading, or else since the
   * policy was made.
   */
  seconds: (policy: string, before: boolean) => number;
  /**
   * Whether the node may have counted this while it was not heard, under an earlier record, or for a
   * claim that was not accepted, which nobody remembers for ever. Such counts are not taken, and no
   * fault until they grow.
   */
  mayBring: (kind: Counted, report: ReportOf[Counted]) => boolean;
}

/** Refused counts: the number of each kind, and one example. */
export type RefusedCounts = Map<RefusedCount, { count: number; example: string }>;
