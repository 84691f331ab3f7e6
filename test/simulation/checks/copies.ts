/**
 * Where copies go by what the kernels have in force: to a destination of their policy, or nowhere.
 * Also copies of hosts that nobody has told for long.
 */
import type { DatapathState } from '@mirrorplane/agent/testing/control';
import type { Host } from '../world/host.ts';
import type { World } from '../world/world.ts';
import type { History } from './history.ts';
import { Violation } from './violation.ts';

type Delivery = DatapathState['deliveries'][number];
/** A copy is relayed once. */
const MOST_HOPS = 3;

/** What is checked. */
export interface Route {
  world: World;
  history: History;
  /** Whether copies that nobody takes are a fault. */
  isComplete: boolean;
}

/** A copy on its way. */
interface Copy {
  uid: string;
  from: string;
  /** Where it shall come out, as its number says. Undefined: it has crossed no underlay. */
  end: string | undefined;
  hops: number;
}

export function checkCopies(route: Route): void {
  const { world, history } = route;
  for (const host of world.hosts.filter(({ powered }) => powered)) {
    const { captures, deliveries } = host.kernel.state;
    for (const { id, policy: uid, source, ifindex, delivery } of captures) {
      const device = ifindex === 0 ? undefined : host.device(ifindex);
      if (device === undefined) {
        continue;
      }
      const own = 'interface' in device ? [device.interface as string] : edgesOf(host, device.name, history);
      if (!own.includes(source) || !history.sources.get(uid)?.has(source)) {
        throw new Violation(`${host.name} captures ${id} on ${device.name}, which is ${own.join() || 'no interface'}`);
      }
      const first = deliveries.find((one) => one.id === delivery);
      if (first) {
        follow(host, first, { uid, from: `${id} on ${host.name}`, end: undefined, hops: 0 }, route);
      }
    }
  }
}

function follow(host: Host, delivery: Delivery, copy: Copy, route: Route): void {
  if (delivery.policy !== copy.uid) {
    throw new Violation(`copies of ${copy.from} become delivery ${delivery.id} of another policy on ${host.name}`);
  }
  if (delivery.kind === 'erspan') {
    cross(host, delivery, copy, route);
    return;
  }
  const device = delivery.ifindex === 0 ? undefined : host.device(delivery.ifindex);
  if (device) {
    arrive(
      host,
      { name: device.name, interface: 'interface' in device ? String(device.interface) : undefined },
      copy,
      route.history,
    );
  }
}

/** The copy comes out at a device. */
function arrive(
  host: Host,
  device: { name: string; interface: string | undefined },
  copy: Copy,
  history: History,
): void {
  const ids = device.interface === undefined ? edgesOf(host, device.name, history) : [device.interface];
  const wanted = history.destinations.get(copy.uid) ?? new Set();
  const isWanted = (id: string) => (copy.end === undefined ? wanted.has(id) : copy.end.split(' ')[0] === id);
  if (!ids.some(isWanted)) {
    const asked = copy.end ?? [...wanted].join(' or ');
    throw new Violation(`copies of ${copy.from} come out at ${ids.join()} on ${host.name}, and not at ${asked}`);
  }
}

/** The copy goes to another host, which takes it if its number is proven. */
function cross(
  host: Host,
  { id, address, session, generation, secret = 0 }: Extract<Delivery, { kind: 'erspan' }>,
  copy: Copy,
  route: Route,
): void {
  const other = route.world.hosts.find((one) => one.powered && one.address === address);
  const end = other?.kernel.state.terminations.find(
    (one) =>
      one.address === host.address &&
      one.ownAddress === address &&
      one.session === session &&
      one.generation === generation &&
      (one.secret === undefined || one.secret === secret),
  );
  if (!other || !end) {
    if (route.isComplete && !isRelay(host, id, copy)) {
      throw new Violation(
        `copies of ${copy.from} are taken by nobody: ${host.name} sends to ${other?.name} as ${session}.${generation}`,
      );
    }
    return;
  }
  if (end.policy !== copy.uid) {
    throw new Violation(`copies of ${copy.from} are taken for policy ${end.policy} on ${other.name}`);
  }
  const meaning = route.history.meaning(other.name, session, generation);
  const next = other.kernel.state.deliveries.find(({ id }) => id === end.delivery);
  if (next && copy.hops < MOST_HOPS) {
    follow(other, next, { ...copy, end: meaning?.end ?? copy.end, hops: copy.hops + 1 }, route);
  }
}

/**
 * Whether the destination has left this host, which sends what comes for it after it. That is better
 * than nothing also where the other host is not ready.
 */
function isRelay({ kernel }: Host, delivery: string, { uid, hops }: Copy): boolean {
  const { deliveries } = kernel.state;
  const isNamed = (one: Delivery) =>
    one.policy === uid && one.kind === 'local' && one.handover?.released === true && one.handover.relay === delivery;
  return hops > 0 || deliveries.some(isNamed);
}

function edgesOf({ name }: Host, device: string, { edges }: History): string[] {
  return [...(edges.get(`${name}/${device}`) ?? [])];
}
