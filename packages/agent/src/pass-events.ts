/** Compares the result of a pass with the previous pass, and reports the difference as events. */
import { type CaptureStatus, captureOfHook, idsOf, type NodeProgram, partOf, policyOfId } from '@mirrorplane/contract';
import type { AgentEventDraft, EventRecorder } from './controller-link/event-outbox.ts';
import type { ApplyResult, HeldCounts, Repair } from './datapath/datapath.ts';
import { type HandoverCounts, handoverKey, type Overlap } from './migration/handover-counter.ts';
import type { Link } from './netlink/link.ts';
import type { PlacedCapture } from './reconcile/surroundings.ts';

/** The outcome of a pass. */
export interface PassOutcome {
  program: NodeProgram;
  /** Captures with their devices, and in the same order the status of each. */
  placed: readonly PlacedCapture[];
  statuses: readonly CaptureStatus[];
  result: ApplyResult;
  /** All devices of the pass. */
  links: readonly Link[];
  /** End of the change of the data path, in milliseconds of `performance.now()`. */
  at: number;
  handovers: HandoverCounts;
}

/**
 * If one pass has more events than this with the same policy, kind and cause, they become one event
 * with a count.
 */
export const FEW = 16;

/** A capture on one device. A new or re-created device makes it another one. */
interface Known {
  id: string;
  policy: string;
  interface: string;
  device: string;
  ifindex: number;
  state: CaptureStatus['state'];
  code?: string | undefined;
  message?: string | undefined;
}

/**
 * Reports captures that begin, end or are refused, repairs, and failed changes of the data path.
 */
export class PassEvents {
  readonly #events: EventRecorder;
  #known: ReadonlyMap<string, Known> | undefined;
  /** The previous program. */
  #program: NodeProgram | undefined;
  #revision: number | undefined;
  #failure = '';
  /** `Link.seenAt` by ifindex, in the previous pass. */
  #seenAt: ReadonlyMap<number, number | undefined> = new Map();

  constructor(events: EventRecorder) {
    this.#events = events;
  }

  /** The agent starts with a program that an earlier run has carried out. */
  resume(program: NodeProgram): void {
    this.#program = program;
    this.#revision = program.revision;
  }

  /** The data path has applied the state. */
  applied(outcome: PassOutcome): void {
    const { program, result, links } = outcome;
    const seenAt = new Map(links.map((link) => [link.ifindex, link.seenAt]));
    const known = new Map(
      outcome.placed.map((placed, index): [string, Known] => {
        const { ifindex } = placed.device;
        const key = `${placed.capture.id} ${ifindex} ${seenAt.get(ifindex) ?? ''}`;
        return [key, knownOf(placed, outcome.statuses[index]!)];
      }),
    );
    // A device that was removed during the attach is reported as gone if it was captured, and
    // otherwise not at all.
    const vanished = new Set(result.refused.filter(({ gone }) => gone).map(({ id }) => captureOfHook(id)));
    const drafts = [
      ...this.#ended(known, program, vanished, outcome.handovers),
      ...this.#begun(known, outcome, seenAt),
      ...this.#refused(known, vanished),
    ];
    for (const draft of summed(drafts)) {
      this.#events.tell(draft);
    }
    for (const overlap of outcome.handovers.overlaps) {
      if (overlap.packets > 0) {
        this.#events.tell(overlapped(overlap));
      }
    }
    for (const held of result.held) {
      this.#events.tell(handoverEvent(held));
    }
    this.#repaired(outcome, seenAt);
    this.#seenAt = seenAt;
    this.#known = known;
    this.#program = program;
    this.#revision = program.revision;
    this.#failure = '';
  }

  /** The data path could not be changed. It is reported once, however often it is tried again. */
  failed(program: NodeProgram, message: string): void {
    if (message === this.#failure) {
      return;
    }
    this.#failure = message;
    const cause = program.revision === this.#revision ? 'agent' : 'controller';
    this.#events.tell({ kind: 'datapathFailed', cause, code: 'ATTACH_FAILED', message });
  }

  #ended(
    known: ReadonlyMap<string, Known>,
    program: NodeProgram,
    vanished: ReadonlySet<string>,
    { duplicated }: HandoverCounts,
  ): AgentEventDraft[] {
    return [...(this.#known ?? [])].flatMap(([key, before]): AgentEventDraft[] => {
      if (before.state !== 'capturing' || (known.has(key) && !vanished.has(before.id))) {
        return [];
      }
      const wanted = hasCapture(program, before.id);
      const why = wanted ? 'the device is gone' : 'no policy needs it any more';
      const message = `capture at ${before.device} ended: ${why}`;
      const twice = duplicated.get(handoverKey(before.id, before.ifindex));
      const cause = wanted ? 'agent' : 'controller';
      return [
        {
          kind: 'captureDetached',
          cause,
          message,
          ...about(before),
          ...(twice !== undefined && { duplicated: twice }),
        },
      ];
    });
  }

  #begun(
    known: ReadonlyMap<string, Known>,
    { program, result, at, handovers }: PassOutcome,
    seenAt: ReadonlyMap<number, number | undefined>,
  ): AgentEventDraft[] {
    // In a data plane that was taken over, only captures that the first pass had to attach have
    // begun.
    const begun = this.#known === undefined ? new Set(result.begun.map(captureOfHook)) : undefined;
    const expected = new Set(program.standby.map((item) => item.interface));
    return [...known].flatMap(([key, now]): AgentEventDraft[] => {
      if (now.state !== 'capturing' || this.#known?.get(key)?.state === 'capturing') {
        return [];
      }
      if (begun && !begun.has(now.id)) {
        return [];
      }
      const waited = hasCapture(this.#program, now.id);
      const seen = seenAt.get(now.ifindex);
      // A capture of a policy that is newer than the device is no sign of a migration.
      const moved = (waited || expected.has(now.interface)) && seen !== undefined;
      const missed = handovers.missed.get(handoverKey(now.id, now.ifindex));
      return [
        {
          kind: 'captureAttached',
          cause: waited ? 'agent' : 'controller',
          message: `capture at ${now.device} began`,
          ...about(now),
          ...(moved && { ms: Math.round((at - seen) * 10) / 10 }),
          ...(moved && missed !== undefined && { missed }),
        },
      ];
    });
  }

  #refused(known: ReadonlyMap<string, Known>, vanished: ReadonlySet<string>): AgentEventDraft[] {
    return [...known].flatMap(([key, now]): AgentEventDraft[] => {
      if (now.code === undefined || vanished.has(now.id)) {
        return [];
      }
      const before = this.#known?.get(key);
      if (before?.state === now.state && before.message === now.message) {
        return [];
      }
      const cause = hasCapture(this.#program, now.id) ? 'agent' : 'controller';
      const refused = now.state === 'refused' ? 'was refused' : 'was refused in one direction';
      const message = `capture at ${now.device} ${refused}: ${now.message}`;
      return [{ kind: 'captureRefused', cause, message, ...(now.code && { code: now.code }), ...about(now) }];
    });
  }

  /** One event for each device, and one for repairs without a device. */
  #repaired({ result, placed, links }: PassOutcome, seenAt: ReadonlyMap<number, number | undefined>): void {
    // A device that was created again with the same ifindex lost its programs with the old device.
    // Nobody detached them.
    const isNew = (ifindex = 0) => this.#seenAt.has(ifindex) && this.#seenAt.get(ifindex) !== seenAt.get(ifindex);
    const repaired = result.repaired.filter(({ kind, ifindex }) => kind !== 'takenOff' || !isNew(ifindex));
    for (const [ifindex, repairs] of Map.groupBy(repaired, (repair) => repair.ifindex)) {
      const name = links.find((link) => link.ifindex === ifindex)?.name ?? `device ${ifindex}`;
      const capture = placed.find(({ device }) => device.ifindex === ifindex)?.capture;
      this.#events.tell({
        kind: 'repaired',
        cause: 'agent',
        message: `repaired: ${repairs.map((repair) => phrase(repair, name)).join(', ')}`,
        count: repairs.reduce((sum, { count }) => sum + count, 0),
        ...(capture && { interface: capture.source, policy: capture.policy }),
      });
    }
  }
}

/** A destination has left this node. The event counts the copies that were held for it. */
function handoverEvent({ interface: id, node, handed, read, relayed, unconfirmed }: HeldCounts): AgentEventDraft {
  const missed = Math.max(0, handed - read - (relayed - unconfirmed));
  const message = `migrated to node ${node}: ${relayed} unread copies were relayed, ${missed} were lost, ${unconfirmed} may be duplicated`;
  return {
    kind: 'migrationMeasured',
    cause: 'agent',
    message,
    interface: id,
    to: node,
    count: relayed,
    missed,
    duplicated: unconfirmed,
  };
}

/** Devices of a source on both nodes got frames. */
function overlapped({ capture: { policy, source }, packets }: Overlap): AgentEventDraft {
  const message = `${packets} packets to it were captured on this node while another node had it too: at most this number was copied twice`;
  return { kind: 'migrationMeasured', cause: 'agent', message, interface: source, policy, duplicated: packets };
}

/** Describes the interference. */
function phrase({ kind, count, program }: Repair, device: string): string {
  switch (kind) {
    case 'takenOff':
      return `${program} of ${device} was detached`;
    case 'pushedBack':
      return `${program} of ${device} was pushed back by another program`;
    case 'unpinned':
      return count === 1 ? 'a pin was removed' : `${count} pins were removed`;
    case 'helperGone':
      return 'the helper device was missing';
    case 'helperChanged':
      return 'the helper device was set down or renamed';
    case 'mapWritten':
      return count === 1 ? 'a row of a map was changed' : `${count} rows of maps were changed`;
  }
}

/** Looks into the part of its policy alone. */
function hasCapture(program: NodeProgram | undefined, id: string): boolean {
  const part = program && partOf(program, policyOfId(id) ?? '');
  return part !== undefined && idsOf(part.captures).has(id);
}

function knownOf({ capture, device }: PlacedCapture, { state, code, message }: CaptureStatus): Known {
  const { id, policy, source } = capture;
  return { id, policy, interface: source, device: device.name, ifindex: device.ifindex, state, code, message };
}

function about({ policy, interface: id }: Known): Pick<AgentEventDraft, 'interface' | 'policy'> {
  return { interface: id, policy };
}

function summed(drafts: readonly AgentEventDraft[]): AgentEventDraft[] {
  const groups = Map.groupBy(drafts, ({ kind, cause, policy, code }) => [kind, cause, policy, code].join(' '));
  return [...groups.values()].flatMap((group) => {
    if (group.length <= FEW) {
      return group;
    }
    const [{ kind, cause, policy, code }] = group as [AgentEventDraft];
    const names = group.slice(0, 3).map((draft) => draft.interface);
    const message = `${group.length} of ${WHAT[kind]}, ${names.join(', ')} among them`;
    return [{ kind, cause, message, count: group.length, ...(policy && { policy }), ...(code && { code }) }];
  });
}

const WHAT: Record<AgentEventDraft['kind'], string> = {
  captureAttached: 'the captures of a policy began',
  captureDetached: 'the captures of a policy ended',
  captureRefused: 'the captures of a policy were refused',
  repaired: 'the repairs',
  datapathFailed: 'the failures',
  migrationMeasured: 'the migrations',
  leaderRefused: 'the refusals of controllers',
};
