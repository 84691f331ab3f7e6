/** Compares an interface in two inventories, and makes the events. Pure. */
import type { EventCause, EventDraft, Interface, InterfaceDevice } from '@mirrorplane/contract';

/** The remembered state of an interface. */
export interface Whereabouts {
  devices: readonly InterfaceDevice[];
  /** Its current or last node. */
  home?: string | undefined;
  /** The target node of its migration, as reported. */
  target?: string | undefined;
}

/** The events of one step, and the state to remember for the next step. */
export interface Step {
  events: EventDraft[];
  next: Whereabouts;
}

type Seen = Pick<Interface, 'id' | 'kind' | 'devices' | 'home'>;

/** @param before undefined: the interface was unknown */
export function interfaceStep(before: Whereabouts | undefined, now: Seen): Step {
  const { id, kind, devices } = now;
  const home = now.home ?? devices.at(-1)?.node;
  const known = before ?? { devices: [] };
  const next = { devices, home: home ?? known.home };
  if (kind === 'edge') {
    return { events: edgeEvents(known, now), next };
  }
  const device = devices.find(({ node }) => node === home);
  const was = known.devices.find(({ node }) => node === home);
  const other = devices.findLast(({ node }) => node !== home);
  const event = (what: EventDraft['kind'], node: string, message: string, from?: string): EventDraft => {
    const object = { kind: 'interface', name: id } as const;
    return { kind: what, object, node, message, cause: causeOf(node), ...(from && { from }) };
  };
  if (home === undefined || !device) {
    const [left] = known.devices;
    const node = known.home ?? left?.node;
    const gone = left && node !== undefined;
    return { events: gone ? [event('interfaceGone', node, `it no longer has a device on node ${node}`)] : [], next };
  }
  if (known.home !== undefined && known.home !== home) {
    const message = `it migrated from node ${known.home} to node ${home}, device ${device.name}`;
    return { events: [event('interfaceMigrated', home, message, known.home)], next };
  }
  const events: EventDraft[] = [];
  if (!was) {
    events.push(event('interfaceAppeared', home, `it has the device ${device.name} on node ${home}`));
  } else if (was.ifindex !== device.ifindex) {
    events.push(event('interfaceAppeared', home, `it has another device, ${device.name} on node ${home}`));
  }
  const isNew = other && !known.devices.some(({ node }) => node === other.node);
  if (isNew) {
    const message = `it has a second device, ${other.name} on node ${other.node}`;
    events.push(event('interfaceMigrating', other.node, message, home));
  } else if (!other && known.target !== undefined) {
    events.push(event('interfaceStayed', home, `it did not migrate: its device on node ${known.target} is gone again`));
  }
  return { events, next: { ...next, target: isNew ? other.node : other && known.target } };
}

function edgeEvents(before: Whereabouts, { id, devices }: Seen): EventDraft[] {
  const was = before.devices.at(-1);
  const is = devices.at(-1);
  const node = is?.node ?? was?.node;
  const same = was?.node === is?.node && was?.name === is?.name && was?.ifindex === is?.ifindex;
  if (same || node === undefined) {
    return [];
  }
  const text = (device: InterfaceDevice) => `${device.name} (${device.mac}) on node ${device.node}`;
  const message = is ? `its device is ${text(is)}${was ? `, and was ${text(was)}` : ''}` : `it has lost ${text(was!)}`;
  return [{ kind: 'edgeDeviceChanged', object: { kind: 'interface', name: id }, node, message, cause: causeOf(node) }];
}

/** The cause: the agent of a node has seen it. */
function causeOf(node: string): EventCause {
  return { kind: 'agent', name: node };
}
