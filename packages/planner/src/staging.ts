/**
 * A path between two nodes changes in steps. The receiver is ready before the first copy is made,
 * and ends after the last copy has arrived. `plan` gives the final programs. `stage` gives the
 * programs that nodes may get now. Pure.
 */
import { type Delivery, earlierDeliveryId, parseDeliveryId, type Termination } from '@mirrorplane/contract';
import { copiesAreKnown } from './known-copies.ts';
import {
  type InForce,
  idsOf,
  type PlannedProgram,
  type PolicyPart,
  partOf,
  partsOf,
  remembered,
  withMore,
  withParts,
} from './programs.ts';
import { isOfPath, pathOf } from './tunnels.ts';

/** The programs that nodes may get now. */
export interface Staged {
  /** By node name, for every planned node. */
  programs: Map<string, PlannedProgram>;
  /**
   * Steps that wait for a node to confirm something, as keys that stay the same from one call to
   * the next.
   */
  waiting: string[];
}

type ErspanDelivery = Extract<Delivery, { kind: 'erspan' }>;

/**
 * Holds a change back until the other end of its path is ready. A node whose program is unknown
 * gets the planned program at once.
 *
 * @param expired steps that have waited too long. The sender then stops, or the receiver ends
 */
export function stage(
  planned: ReadonlyMap<string, PlannedProgram>,
  inForce: ReadonlyMap<string, InForce>,
  expired: ReadonlySet<string> = new Set(),
): Staged {
  const waiting: string[] = [];
  const wait = (key: string): boolean => {
    waiting.push(key);
    return !expired.has(key);
  };
  // Nearly all nodes were told the planned program: they have nothing new to begin.
  const others = [...planned].filter(([node, program]) => {
    const last = inForce.get(node)?.last;
    return last !== undefined && last !== program;
  });
  const unproven = new Set([...inForce].filter(([, known]) => isUnproven(known)).map(([node]) => node));
  const senders = new Map(planned);
  if (others.length > 0) {
    const areKnown = copiesAreKnown(planned, inForce);
    for (const [node, program] of others) {
      const { last } = inForce.get(node)!;
      senders.set(node, stageSender(withoutUnknown(program, last!, { wait, areKnown }), last!, inForce, { wait }));
    }
  }
  const programs = new Map(senders);
  const migrating = new Set(others.length > 0 ? [...planned.values()].flatMap(handedOver) : []);
  // What a receiver checks depends on all senders, where one of them may know no secret.
  for (const node of unproven.size > 0 ? senders.keys() : others.map(([name]) => name)) {
    programs.set(node, stageReceiver(senders.get(node)!, senders, inForce, { wait, migrating, unproven }));
  }
  return { programs, waiting };
}

/** Whether a node may run a program that sends copies without a secret. */
const isUnproven = remembered(({ possible }: InForce) => possible.some(lacksSecret));

/** Policies with a migrating destination, of which the program is that of the origin node. */
const handedOver = remembered(({ deliveries }: PlannedProgram) =>
  deliveries.filter(({ duringHandover }) => duringHandover).map(({ policy }) => policy),
);

/** Whether the program sends copies to another node without a secret. */
const lacksSecret = remembered(({ deliveries }: PlannedProgram) =>
  deliveries.some((one) => one.kind === 'erspan' && !('secret' in one)),
);

interface Staging {
  /** Notes a step that waits. False where it has waited for too long. */
  wait(key: string): boolean;
  migrating: ReadonlySet<string>;
}

/**
 * Leaves out new captures while nodes that their copies may come back to do not know these copies.
 */
function withoutUnknown(
  planned: PlannedProgram,
  last: PlannedProgram,
  { wait, areKnown }: Pick<Staging, 'wait'> & { areKnown: ReturnType<typeof copiesAreKnown> },
): PlannedProgram {
  const { node } = planned;
  return withParts(planned, (part) => {
    const before = partOf(last, part.policy);
    const vlanId = part.captures[0]?.skipVlanId;
    if (before === part || vlanId === undefined) {
      return part;
    }
    const known = before ? idsOf(before.captures) : new Set();
    const stay = part.captures.filter(({ id }) => known.has(id));
    const isComplete = stay.length === part.captures.length;
    if (isComplete || areKnown(node, vlanId) || !wait(`${node} makes copies with VLAN ID ${vlanId}`)) {
      return part;
    }
    return { ...part, captures: stay };
  });
}

/**
 * While the receiver has not confirmed a new delivery, captures keep their earlier delivery, or are
 * left out.
 */
function stageSender(
  planned: PlannedProgram,
  last: PlannedProgram,
  inForce: ReadonlyMap<string, InForce>,
  { wait }: Pick<Staging, 'wait'>,
): PlannedProgram {
  const { node } = planned;
  return withParts(planned, (part) => {
    const before = partOf(last, part.policy);
    if (before === part) {
      return part;
    }
    const wasSent = sentBy(before);
    const isUnready = (delivery: Delivery): delivery is ErspanDelivery =>
      delivery.kind === 'erspan' &&
      !wasSent.some((one) => isSamePath(one, delivery)) &&
      !isReady(inForce.get(delivery.node), node, delivery);
    const unready = part.deliveries.filter(isUnready);
    const mayKeep = new Map(
      unready.map((delivery) => [delivery.id, wait(`${node} sends ${delivery.id} ${pathOf(delivery)}`)]),
    );
    return unready.length === 0 ? part : withEarlier(part, before, mayKeep);
  });
}

/** Ways to other nodes that a part has shown to be ready: those that it only relays by are not. */
function sentBy(part: PolicyPart | undefined): ErspanDelivery[] {
  if (part === undefined) {
    return [];
  }
  const relays = relaysOf(part);
  const isReadyWay = ({ id }: Delivery) => !relays.has(id) || part.captures.some(({ delivery }) => delivery === id);
  return part.deliveries.filter((one): one is ErspanDelivery => one.kind === 'erspan' && isReadyWay(one));
}

/** Ids of deliveries by which an origin node relays. The deliveries that name them need them. */
function relaysOf({ deliveries }: PolicyPart): ReadonlySet<string> {
  return new Set(deliveries.flatMap(({ duringHandover }) => duringHandover?.delivery ?? []));
}

/** Ids of deliveries that something of a part names. */
function usedIn(part: PolicyPart): Set<string> {
  return new Set([...[...part.captures, ...part.terminations].map(({ delivery }) => delivery), ...relaysOf(part)]);
}

/**
 * @param mayKeep by id of each new delivery that is not ready: whether captures may keep their
 * earlier one
 */
function withEarlier(
  part: PolicyPart,
  before: PolicyPart | undefined,
  mayKeep: ReadonlyMap<string, boolean>,
): PolicyPart {
  const relays = relaysOf(part);
  const stay = part.deliveries.filter(({ id }) => !mayKeep.has(id) || relays.has(id));
  const used = usedIn(part);
  const [needed, prepared] = [stay.filter(({ id }) => used.has(id)), stay.filter(({ id }) => !used.has(id))];
  const deliveries = new Map(needed.map((one) => [one.id, one]));
  const captured = new Map(before?.captures.map((capture) => [capture.id, capture]));
  // Of an earlier handover: the delivery that it named may be gone.
  const earlier = new Map(before?.deliveries.map(({ duringHandover: _, ...one }) => [one.id, one as Delivery]));
  const captures = part.captures.flatMap((capture) => {
    if (!mayKeep.has(capture.delivery)) {
      return [capture];
    }
    const last = mayKeep.get(capture.delivery) ? captured.get(capture.id) : undefined;
    const delivery = last && earlier.get(last.delivery);
    const id = delivery && freeId(delivery, deliveries);
    if (!delivery || id === undefined) {
      return [];
    }
    deliveries.set(id, deliveries.get(id) ?? { ...delivery, id });
    return [{ ...capture, delivery: id }];
  });
  // What is only prepared for a handover waits for the earlier delivery with its id.
  for (const one of prepared.filter(({ id }) => !deliveries.has(id))) {
    deliveries.set(one.id, one);
  }
  // A way that is not ready, and that nothing uses: its being there would be taken for a sign that it is.
  const inUse = usedIn({ ...part, captures, deliveries: [...deliveries.values()] });
  for (const id of mayKeep.keys()) {
    if (!inUse.has(id)) {
      deliveries.delete(id);
    }
  }
  return { ...part, captures, deliveries: sorted(deliveries.values()) };
}

/** An id for an earlier delivery beside those of now. Undefined: there is none. */
function freeId(earlier: Delivery, now: ReadonlyMap<string, Delivery>): string | undefined {
  const isFree = (id: string) => {
    const there = now.get(id);
    return there === undefined || isSameWay({ ...there, id: earlier.id }, earlier);
  };
  const other = parseDeliveryId(earlier.id)?.kind === 'erspan' ? earlier.id : earlierDeliveryId(earlier.id);
  return [earlier.id, other].find((id) => isFree(id) && parseDeliveryId(id) !== undefined);
}

/** Whether the receiver has confirmed the termination, and every program that it may run has it. */
function isReady(receiver: InForce | undefined, from: string, delivery: ErspanDelivery): boolean {
  const hasEnd = (program: PlannedProgram) =>
    partOf(program, delivery.policy)?.terminations.some((end) => end.node === from && isOfPath(end, delivery)) ?? false;
  return receiver?.confirmed !== undefined && hasEnd(receiver.confirmed) && receiver.possible.every(hasEnd);
}

/**
 * A termination does not check the secret while its sender may still run a program of an agent that
 * knew none.
 */
function withoutUnsent(
  program: PlannedProgram,
  inForce: ReadonlyMap<string, InForce>,
  { wait, unproven }: Pick<Staging, 'wait'> & { unproven: ReadonlySet<string> },
): PlannedProgram {
  const { node } = program;
  const lacksIt = (end: Termination) =>
    unproven.has(end.node) &&
    (inForce.get(end.node)?.possible ?? []).some((other) =>
      partOf(other, end.policy)?.deliveries.some((one) => isOfEnd(one, end, node) && !('secret' in one)),
    );
  return withParts(program, (part) => {
    const terminations = part.terminations.map((end): Termination => {
      const { secret, ...unchecked } = end;
      if (secret === undefined || !lacksIt(end)) {
        return end;
      }
      wait(`${node} checks the secret of ${end.id}`);
      return unchecked;
    });
    return terminations.every((end, index) => end === part.terminations[index]) ? part : { ...part, terminations };
  });
}

/** A termination stays while its sender may still send. It keeps its earlier delivery. */
function stageReceiver(
  planned: PlannedProgram,
  senders: ReadonlyMap<string, PlannedProgram>,
  inForce: ReadonlyMap<string, InForce>,
  staging: Staging & { unproven: ReadonlySet<string> },
): PlannedProgram {
  const { node } = planned;
  const last = inForce.get(node)?.last;
  const checked = staging.unproven.size === 0 ? planned : withoutUnsent(planned, inForce, staging);
  if (last === undefined || last === planned) {
    return checked;
  }
  const stays = new Set(planned.terminations.map((end) => `${end.node} ${pathOf(end)}`));
  const isUsed = (end: Termination): boolean => {
    const told = senders.get(end.node);
    const programs = [...(inForce.get(end.node)?.possible ?? []), ...(told ? [told] : [])];
    return programs.some((program) => partOf(program, end.policy)?.deliveries.some((one) => isOfEnd(one, end, node)));
  };
  const mayStay = (end: Termination) => {
    const isOver = !stays.has(`${end.node} ${pathOf(end)}`);
    return isOver && inForce.get(end.node)?.connected === true && isUsed(end);
  };
  return withLeaving(checked, last, (part, before) => keepEnds(part, before, mayStay, { node, ...staging }));
}

/**
 * Adds what stays of the parts of the last program, also of policies that have no part any more.
 */
function withLeaving(
  program: PlannedProgram,
  last: PlannedProgram,
  keep: (part: PolicyPart, before: PolicyPart) => PolicyPart,
): PlannedProgram {
  const gone = partsOf(last).filter(({ policy, terminations }) => terminations.length > 0 && !partOf(program, policy));
  const left = gone.map((before) =>
    keep({ policy: before.policy, captures: [], deliveries: [], terminations: [] }, before),
  );
  const kept = withParts(program, (part) => {
    const before = partOf(last, part.policy);
    return before === undefined || before === part ? part : keep(part, before);
  });
  return left.every(({ terminations }) => terminations.length === 0) ? kept : withMore(kept, left);
}

/** @param mayStay whether a termination that is not planned any more may still be needed */
function keepEnds(
  part: PolicyPart,
  before: PolicyPart,
  mayStay: (end: Termination) => boolean,
  { node, wait, migrating }: Staging & { node: string },
): PolicyPart {
  const deliveries = new Map(part.deliveries.map((one) => [one.id, one]));
  const kept = before.terminations.filter(mayStay).flatMap((end): Termination[] => {
    const way = before.deliveries.find(({ id }) => id === end.delivery);
    if (!way || way.kind === 'erspan' || !wait(`${node} receives ${end.id} ${pathOf(end)}`)) {
      return [];
    }
    const { duringHandover: _, ...plain } = way;
    const there = deliveries.get(way.id);
    const isNow = there?.kind !== 'erspan' && there?.interface === way.interface;
    if (migrating.has(end.policy) && isNow) {
      // The handover of the plan already relays from this node, for senders that do not know the
      // new home yet.
      return [end];
    }
    const id = earlierId(plain, deliveries);
    if (id === undefined) {
      return [];
    }
    deliveries.set(id, { ...plain, id });
    return [{ ...end, delivery: id }];
  });
  if (kept.length === 0) {
    return part;
  }
  const terminations = [...part.terminations, ...kept].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return { ...part, deliveries: sorted(deliveries.values()), terminations };
}

/**
 * The id under which an earlier delivery stays. Another one may be there: that of now, and those of
 * still earlier numbers that senders may use. Undefined: there are too many.
 */
function earlierId(earlier: Delivery, there: ReadonlyMap<string, Delivery>): string | undefined {
  let { id } = earlier;
  const isFree = () => !there.has(id) || JSON.stringify(there.get(id)) === JSON.stringify({ ...earlier, id });
  while (!isFree()) {
    id = earlierDeliveryId(id);
  }
  return parseDeliveryId(id) && id;
}

/** Whether a delivery sends what the termination of `node` receives. */
function isOfEnd(delivery: Delivery, end: Termination, node: string): boolean {
  return delivery.kind === 'erspan' && delivery.node === node && isOfPath(end, delivery);
}

/** Whether both lead to the same interface or node, with or without a handover. */
function isSameWay(a: Delivery, b: Delivery): boolean {
  if (a.kind === 'erspan' || b.kind === 'erspan') {
    return a.kind === 'erspan' && b.kind === 'erspan' && isSamePath(a, b);
  }
  const plain = ({ duringHandover: _, ...one }: Delivery) => JSON.stringify(one);
  return plain(a) === plain(b);
}

function isSamePath(a: ErspanDelivery, b: ErspanDelivery): boolean {
  return a.node === b.node && a.address === b.address && pathOf(a) === pathOf(b);
}

function key(end: Termination): string {
  return `${end.id} ${pathOf(end)}`;
}

function sorted<T extends { id: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => (a.id < b.id ? -1 : 1));
}
