/** What became of an interface between two looks at the inventory. Pure. */
import type { EventCause, EventDraft, Interface, InterfaceDevice } from '@mirrorplane/contract';

/** What is remembered of an interface. */
export interface Whereabouts {
  devices: readonly InterfaceDevice[];
  /** The node where it was last without being anywhere else. */
  home: string | undefined;
}

type Seen = Pick<Interface, 'id' | 'kind' | 'devices'>;

/** What to remember of an interface that was not known before. */
export function whereabouts({ devices }: Seen, before?: Whereabouts): Whereabouts {
  const nodes = nodesOf(devices);
  return { devices, home: nodes.length === 1 ? nodes[0] : before?.home };
}

/** The events of the step from `before` (undefined: the interface was not known) to `now`; none where nothing happened. */
export function interfaceChanges(before: Whereabouts | undefined, now: Seen): EventDraft[] {
  return now.kind === 'edge' ? edgeChanges(before, now) : virtualChanges(before, now);
}

function virtualChanges(before: Whereabouts | undefined, { id, devices }: Seen): EventDraft[] {
  const was = nodesOf(before?.devices ?? []);
  const is = nodesOf(devices);
  const home = before?.home;
  const last = devices.at(-1);
  const event = (kind: EventDraft['kind'], node: string, message: string, from?: string): EventDraft[] => [
    { kind, object: { kind: 'interface', name: id }, node, message, cause: causeOf(node), ...(from && { from }) },
  ];
  if (!last) {
    const left = was.at(-1);
    return left === undefined ? [] : event('interfaceGone', left, `it has no device any more on node ${left}`);
  }
  if (is.length > 1) {
    const from = is.find((node) => node === home) ?? is[0]!;
    const to = is.findLast((node) => node !== from)!;
    if (was.length > 1 && was.includes(to)) {
      return [];
    }
    return event('interfaceMigrating', to, `it has a second device, ${last.name} on node ${to}`, from);
  }
  const node = last.node;
  if (home !== undefined && home !== node) {
    return event(
      'interfaceMigrated',
      node,
      `it has moved from node ${home} to node ${node}, device ${last.name}`,
      home,
    );
  }
  if (was.length > 1) {
    const other = was.find((name) => name !== node)!;
    return event('interfaceStayed', node, `it has not moved: its device on node ${other} went again`);
  }
  if (was.length === 0) {
    return event('interfaceAppeared', node, `it has the device ${last.name} on node ${node}`);
  }
  const same = before?.devices.at(-1)?.ifindex === last.ifindex;
  return same ? [] : event('interfaceAppeared', node, `it has another device, ${last.name} on node ${node}`);
}

function edgeChanges(before: Whereabouts | undefined, { id, devices }: Seen): EventDraft[] {
  const was = before?.devices.at(-1);
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

/** The agent of the node has seen it. */
function causeOf(node: string): EventCause {
  return { kind: 'agent', name: node };
}

/** Different nodes, that of the newest device last. */
function nodesOf(devices: readonly InterfaceDevice[]): string[] {
  return [...new Set(devices.map(({ node }) => node))];
}
