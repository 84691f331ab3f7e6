/** Compares the result of a pass with the pass before, and reports the difference. */
import { type CaptureStatus, captureOfHook, type NodeProgram } from '@mirrorplane/contract';
import type { AgentEventDraft, EventRecorder } from './controller-link/event-outbox.ts';
import type { ApplyResult, HeldCounts, Repair } from './datapath/datapath.ts';
import { type HandoverCounts, handoverKey, type Overlap } from './migration/handover-counter.ts';
import type { Link } from './netlink/link.ts';
import type { PlacedCapture } from './reconcile/surroundings.ts';

/** What a pass did. */
export interface PassOutcome {
  program: NodeProgram;
  /** Captures with the device that each is on, and beside them, in the same order, what became of each. */
  placed: readonly PlacedCapture[];
  statuses: readonly CaptureStatus[];
  result: ApplyResult;
  /** All devices, as the pass saw them. */
  links: readonly Link[];
  /** When the data path was done, in milliseconds of `performance.now()`. */
  at: number;
  handovers: HandoverCounts;
}

/** More events of one pass than this about one policy, of the same kind and cause, become one with a count. */
export const FEW = 16;

/** A capture on one device: another device, or one that came back, makes another one. */
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

/** Tells of captures that begin, end or are refused, of repairs, and of a data path that cannot be changed. */
export class PassEvents {
  readonly #events: EventRecorder;
  #known: ReadonlyMap<string, Known> | undefined;
  /** ids of the captures of the program before. */
  #captures: ReadonlySet<string> = new Set();
  #revision: number | undefined;
  #failure = '';
  /** `Link.seenAt` by ifindex, in the pass before. */
  #seenAt: ReadonlyMap<number, number | undefined> = new Map();

  constructor(events: EventRecorder) {
    this.#events = events;
  }

  /** The agent starts with a program that it had carried out before. */
  resume(program: NodeProgram): void {
    this.#captures = captureIds(program);
    this.#revision = program.revision;
  }

  /** The data path has taken the state. */
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
    const captures = program.revision === this.#revision ? this.#captures : captureIds(program);
    // A device that went while it was being attached is reported as gone if it was captured, and else not at all.
    const vanished = new Set(result.refused.filter(({ gone }) => gone).map(({ id }) => captureOfHook(id)));
    const drafts = [
      ...this.#ended(known, captures, vanished, outcome.handovers),
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
    this.#captures = captures;
    this.#revision = program.revision;
    this.#failure = '';
  }

  /** The data path could not be changed. Told once, however often it is tried again. */
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
    captures: ReadonlySet<string>,
    vanished: ReadonlySet<string>,
    { duplicated }: HandoverCounts,
  ): AgentEventDraft[] {
    return [...(this.#known ?? [])].flatMap(([key, before]): AgentEventDraft[] => {
      if (before.state !== 'capturing' || (known.has(key) && !vanished.has(before.id))) {
        return [];
      }
      const wanted = captures.has(before.id);
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
    // A data plane that was taken over runs already: only what the first pass had to attach begins.
    const begun = this.#known === undefined ? new Set(result.begun.map(captureOfHook)) : undefined;
    const expected = new Set(program.standby.map((item) => item.interface));
    return [...known].flatMap(([key, now]): AgentEventDraft[] => {
      if (now.state !== 'capturing' || this.#known?.get(key)?.state === 'capturing') {
        return [];
      }
      if (begun && !begun.has(now.id)) {
        return [];
      }
      const waited = this.#captures.has(now.id);
      const seen = seenAt.get(now.ifindex);
      // A policy that was made after the device says nothing of a move.
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
      const cause = this.#captures.has(now.id) ? 'agent' : 'controller';
      const refused = now.state === 'refused' ? 'was refused' : 'was refused in one direction';
      const message = `capture at ${now.device} ${refused}: ${now.message}`;
      return [{ kind: 'captureRefused', cause, message, ...(now.code && { code: now.code }), ...about(now) }];
    });
  }

  /** One event for each device, and one for what belongs to no device. */
  #repaired({ result, placed, links }: PassOutcome, seenAt: ReadonlyMap<number, number | undefined>): void {
    // A device that was created again under the number of another lost its programs with that one: nobody detached them.
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

/** A destination has left this node: what has become of the copies that were handed to it while it was about to. */
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

/** Both nodes had a device of a source that got frames. */
function overlapped({ capture: { policy, source }, packets }: Overlap): AgentEventDraft {
  const message = `${packets} packets to it were captured on this node while another node had it too: at most this number was copied twice`;
  return { kind: 'migrationMeasured', cause: 'agent', message, interface: source, policy, duplicated: packets };
}

/** What others had done, in words. */
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

function captureIds({ captures }: NodeProgram): Set<string> {
  return new Set(captures.map(({ id }) => id));
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
};
