/** What the controller knows of what a node may count: its program, and since when each policy is. */
import {
  type CaptureReport,
  captureId,
  type DeliveryReport,
  type NodeProgram,
  policyOfId,
  type TerminationReport,
} from '@mirrorplane/contract';
import type { Counted, CounterJudge, RefusedCounts } from '../reports/counter-totals.ts';
import type { PolicyRecord } from '../store/records.ts';

/** A reason of refused counters in words. */
const WORDS = {
  foreign: 'of things that are not in its program',
  backward: 'that decreased',
  implausible: 'that grew by more than is possible',
} as const;

export type JudgedPolicy = Pick<PolicyRecord, 'createdAt' | 'updatedAt' | 'sources' | 'destination'>;

export interface JudgedNode {
  /** The program of the node now. */
  program: NodeProgram | undefined;
  /** True where the node has, or had, a device of the interface. A program has captures of its whole pool. */
  hasInterface: (id: string) => boolean;
  /** True where a program of the node has, or had, a capture, delivery or termination with this id. */
  wasTold: (id: string) => boolean;
  /** Nobody saw the node since it was heard before: it may have had any interface that it was to capture. */
  unseen: boolean;
  /** True where the node has, or had, a part in the policy, or where that is not known yet. */
  hasPart: (uid: string) => boolean;
  /** The policy with this uid; undefined: there is none. */
  policyOf: (uid: string) => JudgedPolicy | undefined;
  /** When its counters were read before, milliseconds since 1970; undefined: not known. */
  readBefore: number | undefined;
  now: number;
}

/** A judge for one report: what it needs of the program it looks up once, and only where it is asked. */
export function counterJudge(node: JudgedNode): CounterJudge {
  const { program, hasInterface, wasTold, unseen, hasPart, policyOf, readBefore, now } = node;
  let ids: Record<Counted, Set<string>> | undefined;
  return {
    owns: (kind, report) => {
      ids ??= {
        capture: new Set(program?.captures.map(({ policy, source }) => captureId(policy, source))),
        delivery: new Set(program?.deliveries.map(({ id }) => id)),
        termination: new Set(program?.terminations.map(({ id }) => id)),
      };
      const policy = policyOf(report.policy);
      const inProgram = ids[kind].has(idOf(report));
      if ('source' in report && !hasInterface(report.source)) {
        return unseen && inProgram;
      }
      if (inProgram || wasTold(idOf(report)) || (policy && mayHaveCounted(report, policy, node))) {
        return true;
      }
      // It left the program before it was ever reported. What a policy was before its last change, a controller that started
      // since does not know.
      return hasPart(report.policy) || policy?.createdAt !== policy?.updatedAt ? 'unknown' : false;
    },
    seconds: (uid, before) => {
      const since = (before ? readBefore : undefined) ?? Date.parse(policyOf(uid)?.createdAt ?? '');
      return Number.isNaN(since) ? Number.POSITIVE_INFINITY : (now - since) / 1000;
    },
  };
}

/**
 * Whether it can have been in an earlier program: of a policy that was disabled since, by a controller that was killed before it
 * had saved what was counted.
 */
function mayHaveCounted(
  report: CaptureReport | DeliveryReport | TerminationReport,
  { sources, destination }: JudgedPolicy,
  { hasInterface }: JudgedNode,
): boolean {
  if ('source' in report) {
    return sources.includes(report.source);
  }
  if (policyOfId(idOf(report)) !== report.policy) {
    return false;
  }
  return hasInterface(destination) || ('delivery' in report && sources.some(hasInterface));
}

function idOf(report: CaptureReport | DeliveryReport | TerminationReport): string {
  if ('delivery' in report) {
    return report.delivery;
  }
  return 'termination' in report ? report.termination : captureId(report.policy, report.source);
}

/** What is said of refused counters; undefined where there are none. */
export function refusedCountersMessage(refused: RefusedCounts): string | undefined {
  const parts = [...refused].map(([why, { count, example }]) => `${count} ${WORDS[why]} (${example})`);
  return parts.length === 0
    ? undefined
    : `its agent reports counters that are refused: ${parts.join(', ')}; check who controls that host`;
}
