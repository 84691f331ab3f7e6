/**
 * A path between two nodes changes in steps. The receiver is ready before the first copy is made,
 * and ends after the last copy has arrived. `plan` gives the final programs. `stage` gives the
 * programs that nodes may get now. Pure.
 */
import { type Delivery, earlierDeliveryId, type Termination } from '@mirrorplane/contract';
import { copiesAreKnown } from './known-copies.ts';
import type { InForce, PlannedProgram } from './programs.ts';

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
 * gets the planned program at once. The policy of a migrating destination is not staged, because
 * its plan already keeps both paths open.
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
  const migrating = migratingPolicies(planned);
  const areKnown = copiesAreKnown(planned, inForce);
  const senders = new Map(
    [...planned].map(([node, program]): [string, PlannedProgram] => [
      node,
      stageSender(withoutUnknown(program, inForce.get(node)?.last, { wait, areKnown }), inForce, { wait, migrating }),
    ]),
  );
  const programs = new Map(
    [...senders].map(([node, program]): [string, PlannedProgram] => [
      node,
      stageReceiver(program, senders, inForce, { wait, migrating }),
    ]),
  );
  return { programs, waiting };
}

interface Staging {
  /** Notes a step that waits. False where it has waited for too long. */
  wait(key: string): boolean;
  migrating: ReadonlySet<string>;
}

function migratingPolicies(planned: ReadonlyMap<string, PlannedProgram>): ReadonlySet<string> {
  const deliveries = [...planned.values()].flatMap((program) => program.deliveries);
  return new Set(deliveries.filter(({ duringHandover }) => duringHandover).map(({ policy }) => policy));
}

/**
 * Leaves out new captures while nodes that their copies may come back to do not know these copies.
 */
function withoutUnknown(
  planned: PlannedProgram,
  last: PlannedProgram | undefined,
  { wait, areKnown }: Pick<Staging, 'wait'> & { areKnown: ReturnType<typeof copiesAreKnown> },
): PlannedProgram {
  if (!last || planned.captures.every(({ skipVlanId }) => skipVlanId === undefined)) {
    return planned;
  }
  const { node } = planned;
  const before = new Set(last.captures.map(({ id }) => id));
  const begin = planned.captures.filter(({ id, skipVlanId }) => skipVlanId !== undefined && !before.has(id));
  const unknown = [...new Set(begin.map(({ skipVlanId }) => skipVlanId!))].filter(
    (vlanId) => !areKnown(node, vlanId) && wait(`${node} makes copies with VLAN ID ${vlanId}`),
  );
  const late = new Set(begin.filter(({ skipVlanId }) => unknown.includes(skipVlanId!)));
  return late.size === 0 ? planned : { ...planned, captures: planned.captures.filter((capture) => !late.has(capture)) };
}

/**
 * While the receiver has not confirmed a new delivery, captures keep their earlier delivery, or are
 * left out.
 */
function stageSender(
  planned: PlannedProgram,
  inForce: ReadonlyMap<string, InForce>,
  { wait, migrating }: Staging,
): PlannedProgram {
  const { node } = planned;
  const last = inForce.get(node)?.last;
  if (!last) {
    return planned;
  }
  const isUnready = (delivery: Delivery): delivery is ErspanDelivery =>
    delivery.kind === 'erspan' &&
    !migrating.has(delivery.policy) &&
    !last.deliveries.some((before) => before.kind === 'erspan' && isSamePath(before, delivery)) &&
    !isReady(inForce.get(delivery.node), node, delivery);
  const unready = new Map(planned.deliveries.filter(isUnready).map((delivery) => [delivery.id, delivery]));
  if (unready.size === 0) {
    return planned;
  }
  const mayKeep = new Map(
    [...unready].map(([id, delivery]) => [id, wait(`${node} sends ${id} ${numberOf(delivery)}`)]),
  );
  const deliveries = new Map(planned.deliveries.filter(({ id }) => !unready.has(id)).map((one) => [one.id, one]));
  const earlier = (id: string) => last.deliveries.find((one) => one.id === id);
  const captures = planned.captures.flatMap((capture) => {
    if (!unready.has(capture.delivery)) {
      return [capture];
    }
    const before = last.captures.find(({ id }) => id === capture.id);
    const delivery = before && mayKeep.get(capture.delivery) ? earlier(before.delivery) : undefined;
    const there = delivery && deliveries.get(delivery.id);
    if (!delivery || (there && there !== delivery)) {
      return [];
    }
    deliveries.set(delivery.id, delivery);
    return [{ ...capture, delivery: delivery.id }];
  });
  return { ...planned, captures, deliveries: sorted(deliveries.values()) };
}

/** Whether the receiver has confirmed the termination, and every program that it may run has it. */
function isReady(receiver: InForce | undefined, from: string, delivery: ErspanDelivery): boolean {
  const hasEnd = ({ terminations }: PlannedProgram) =>
    terminations.some((end) => end.node === from && hasNumber(end, delivery));
  return receiver?.confirmed !== undefined && hasEnd(receiver.confirmed) && receiver.possible.every(hasEnd);
}

/**
 * A termination does not check the secret while its sender may still run a program of an agent that
 * knew none.
 */
function withoutUnsent(
  end: Termination,
  node: string,
  { inForce, wait }: Pick<Staging, 'wait'> & { inForce: ReadonlyMap<string, InForce> },
): Termination {
  const { secret, ...unchecked } = end;
  const lacksIt = (inForce.get(end.node)?.possible ?? []).some(({ deliveries }) =>
    deliveries.some((one) => one.kind === 'erspan' && one.node === node && hasNumber(one, end) && !('secret' in one)),
  );
  if (secret === undefined || !lacksIt) {
    return end;
  }
  wait(`${node} checks the secret of ${end.id}`);
  return unchecked;
}

/** A termination stays while its sender may still send. It keeps its earlier delivery. */
function stageReceiver(
  planned: PlannedProgram,
  senders: ReadonlyMap<string, PlannedProgram>,
  inForce: ReadonlyMap<string, InForce>,
  { wait, migrating }: Staging,
): PlannedProgram {
  const { node } = planned;
  const last = inForce.get(node)?.last;
  const stays = new Set(planned.terminations.map((end) => `${end.node} ${numberOf(end)}`));
  const isOver = (end: Termination) => !stays.has(`${end.node} ${numberOf(end)}`);
  const over = (last?.terminations ?? []).filter(isOver);
  const deliveries = new Map(planned.deliveries.map((one) => [one.id, one]));
  const kept = over.flatMap((end): Termination[] => {
    const sender = inForce.get(end.node);
    const told = senders.get(end.node);
    const programs = [...(sender?.possible ?? []), ...(told ? [told] : [])];
    const isUsed = programs.some((program) =>
      program.deliveries.some((one) => one.kind === 'erspan' && one.node === node && hasNumber(one, end)),
    );
    const way = last!.deliveries.find(({ id }) => id === end.delivery);
    if (!isUsed || !sender?.connected || !way || way.kind === 'erspan') {
      return [];
    }
    if (!wait(`${node} receives ${end.id} ${numberOf(end)}`)) {
      return [];
    }
    const { duringHandover: _, ...plain } = way;
    const there = deliveries.get(way.id);
    const isNow = there?.kind !== 'erspan' && there?.interface === way.interface;
    if (migrating.has(end.policy) && (!there || isNow)) {
      // The handover of the plan already relays from this node, for senders that do not know the
      // new home yet.
      return there ? [end] : [];
    }
    const id = there && JSON.stringify(there) !== JSON.stringify(plain) ? earlierDeliveryId(way.id) : way.id;
    deliveries.set(id, { ...plain, id });
    return [{ ...end, delivery: id }];
  });
  const checked = planned.terminations.map((end) => withoutUnsent(end, node, { inForce, wait }));
  if (kept.length === 0) {
    return { ...planned, terminations: checked };
  }
  const terminations = [...checked, ...kept].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return { ...planned, deliveries: sorted(deliveries.values()), terminations };
}

function isSamePath(a: ErspanDelivery, b: ErspanDelivery): boolean {
  return a.node === b.node && a.address === b.address && hasNumber(a, b);
}

function hasNumber(a: { session: number; generation: number }, b: { session: number; generation: number }): boolean {
  return a.session === b.session && a.generation === b.generation;
}

function numberOf({ session, generation }: { session: number; generation: number }): string {
  return `${session}.${generation}`;
}

function key(end: Termination): string {
  return `${end.id} ${numberOf(end)}`;
}

function sorted<T extends { id: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => (a.id < b.id ? -1 : 1));
}
