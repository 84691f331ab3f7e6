/** Decides which counters a node may report, from its program and the age of each policy. */
import {
  type CaptureReport,
  captureId,
  type DeliveryReport,
  type NodeProgram,
  policyOfId,
  type TerminationReport,
  terminationId,
} from '@mirrorplane/contract';
import { idsOf, partOf } from '@mirrorplane/planner';
import type { CounterJudge, RefusedCounts } from '../reports/counted.ts';
import type { PolicyRecord } from '../store/records.ts';

const LISTS = { capture: 'captures', delivery: 'deliveries', termination: 'terminations' } as const;

/** Texts for the reasons of refused counters. */
const WORDS = {
  foreign: 'of things that are not in its program',
  backward: 'that decreased',
  implausible: 'that grew by more than is possible',
} as const;

export type JudgedPolicy = Pick<PolicyRecord, 'createdAt' | 'updatedAt' | 'sources' | 'destination'>;

export interface JudgedNode {
  /** The current program of the node. */
  program: NodeProgram | undefined;
  /**
   * True if the node has or had a device of the interface. This is checked because a program has
   * the captures of the whole pool.
   */
  hasInterface: (id: string) => boolean;
  /**
   * True if the node says, or has said, that it has a device of the interface. Where that is not
   * believed, the contest is told, and counters of the interface are no second fault.
   */
  hasClaimed: (id: string) => boolean;
  /**
   * True if a current or earlier program of the node has a capture, delivery or termination with
   * this id.
   */
  wasTold: (id: string) => boolean;
  /**
   * The node was not seen since its last report, so it may have had any interface of its program.
   */
  unseen: boolean;
  /**
   * True until the node has told all its counters: after a time in which it was not heard, and at
   * first for policies that are older than its record, or do not exist.
   */
  mayBring: (uid: string) => boolean;
  /** True if the node has or had a part in the policy, or this is not known yet. */
  hasPart: (uid: string) => boolean;
  /** The policy with this uid. Undefined: there is none. */
  policyOf: (uid: string) => JudgedPolicy | undefined;
  /** Time of the previous reading, milliseconds since 1970. Undefined: unknown. */
  readBefore: number | undefined;
  now: number;
}

/** A judge for one report. */
export function counterJudge(node: JudgedNode): CounterJudge {
  const { program, hasInterface, hasClaimed, wasTold, unseen, mayBring, hasPart, policyOf, readBefore, now } = node;
  const onlyClaimed = (id: string) => !hasInterface(id) && hasClaimed(id);
  return {
    fits: (_, report) => fits(report),
    // The memory of claims has a bound. So what was counted for one is no fault later, until it grows.
    mayBring: (_, report) => mayBring(report.policy) || ('source' in report && onlyClaimed(report.source)),
    owns: (kind, report) => {
      const policy = policyOf(report.policy);
      const part = program && partOf(program, policyOfId(idOf(report)) ?? '');
      const inProgram = part !== undefined && idsOf(part[LISTS[kind]]).has(idOf(report));
      if ('source' in report && !hasInterface(report.source)) {
        // The interface may have been there while nobody heard of the node. The total that was
        // taken then goes with its policy, and the node may tell it once more after that.
        const isBeyondReach = hasClaimed(report.source) || (policy === undefined && hasPart(report.policy));
        return (unseen && inProgram) || (isBeyondReach && 'unknown');
      }
      if (inProgram || wasTold(idOf(report)) || (policy && mayHaveCounted(report, policy, node))) {
        return true;
      }
      // The part may have left the program before its first report. A controller that started since
      // the last change of a policy does not know the policy's earlier state.
      return hasPart(report.policy) || policy?.createdAt !== policy?.updatedAt ? 'unknown' : false;
    },
    seconds: (uid, before) => {
      const since = (before ? readBefore : undefined) ?? Date.parse(policyOf(uid)?.createdAt ?? '');
      return Number.isNaN(since) ? Number.POSITIVE_INFINITY : (now - since) / 1000;
    },
  };
}

/**
 * An id has the policy, and of a termination the other node. A report that names others would count for
 * their policies, and as another part each time.
 */
function fits(report: CaptureReport | DeliveryReport | TerminationReport): boolean {
  if ('source' in report) {
    return true; // its id is made of its names
  }
  return 'delivery' in report
    ? policyOfId(report.delivery) === report.policy
    : terminationId(report.policy, report.node) === report.termination;
}

/**
 * Whether the part can have been in an earlier program. The policy may have been disabled since,
 * and the controller may have been killed before it saved the counters.
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

/** The message about refused counters. Undefined if there are none. */
export function refusedCountersMessage(refused: RefusedCounts): string | undefined {
  const parts = [...refused].map(([why, { count, example }]) => `${count} ${WORDS[why]} (${example})`);
  return parts.length === 0
    ? undefined
    : `its agent reports counters that are refused: ${parts.join(', ')}; check who controls that host`;
}
