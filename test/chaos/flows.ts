/** Who sends numbered frames to whom, and what mirrored interfaces they pass. Pure. */
import { TOPOLOGY, vmOf, type World } from './world.ts';

/** Numbered frames from one host to another. */
export interface Flow {
  id: number;
  from: string;
  to: string;
  /** The host whose MAC and IP address the frames have, if not `from`. */
  as?: string;
  /** UDP in IPv4, or an EtherType that no protocol stack takes. */
  kind: 'udp' | 'raw';
  /** NICs of edges that it passes, with its direction as the edge sees it. */
  nics: { nic: string; direction: 'inbound' | 'outbound' }[];
}

const BOTH_WAYS: [a: string, b: string, kind: Flow['kind']][] = [
  ['web-1', 'app-1', 'udp'],
  ['web-1', 'web-2', 'raw'],
  ['web-2', 'db-1', 'udp'],
  ['db-1', 'app-1', 'raw'],
  ['fw-1', 'db-1', 'udp'],
  ['fw-1', 'app-1', 'udp'],
  ['other-1', 'web-1', 'udp'],
  ['ids-1', 'web-2', 'udp'],
  ['pgw-1', 'phys-1', 'udp'],
  ['pgw-3', 'phys-2', 'raw'],
  ['phys-2', 'pgw-1', 'udp'],
];

/** Guests that send in the name of another one, now and then. */
const FORGED: [from: string, as: string, to: string][] = [
  ['web-2', 'web-1', 'db-1'],
  ['app-1', 'db-1', 'fw-1'],
  ['fw-1', 'app-1', 'web-1'],
];

const gateways = new Map(
  TOPOLOGY.edges.flatMap(({ node, device, gateway }) => (gateway ? [[gateway.name, `${node}:${device}`]] : [])),
);

/** The flows that are sent all the time, in both directions. */
export const STEADY: Flow[] = BOTH_WAYS.flatMap(([a, b, kind]) => [[a, b, kind] as const, [b, a, kind] as const]).map(
  ([from, to, kind], id) => ({ id, from, to, kind, nics: nicsOf(from, to) }),
);

/** Flows of guests that forge their addresses. */
export const SPOOFED: Flow[] = FORGED.map(([from, as, to], index) => {
  return { id: STEADY.length + index, from, as, to, kind: 'udp', nics: [] };
});

/** Every flow. The number of a flow is its place here. */
export const FLOWS: Flow[] = [...STEADY, ...SPOOFED];

function nicsOf(from: string, to: string): Flow['nics'] {
  const out = gateways.get(from);
  const back = gateways.get(to);
  return [
    ...(out ? [{ nic: out, direction: 'outbound' as const }] : []),
    ...(back ? [{ nic: back, direction: 'inbound' as const }] : []),
  ];
}

/** Hosts that send. */
export const SENDERS = [...new Set(STEADY.map(({ from }) => from))];

/** An interface that a flow passes, and in which direction as that interface sees it. */
export interface Passage {
  source: string;
  direction: 'inbound' | 'outbound';
}

/** What a flow passes, as edges are declared now. */
export function passages(flow: Flow, world: Pick<World, 'edges'>): Passage[] {
  const vms = TOPOLOGY.vms.map(({ name }) => name);
  const result: Passage[] = [];
  if (vms.includes(flow.from)) {
    result.push({ source: `${flow.from}/0`, direction: 'outbound' });
  }
  if (vms.includes(flow.to)) {
    result.push({ source: `${flow.to}/0`, direction: 'inbound' });
  }
  for (const { nic, direction } of flow.nics) {
    const edge = Object.entries(world.edges).find(([, { node, nic: name }]) => `${node}:${name}` === nic);
    if (edge) {
      result.push({ source: edge[0], direction });
    }
  }
  return result;
}

/**
 * Hosts at the ends of the network, where nothing may come that is neither sent to them nor a copy
 * for them.
 */
export const END_HOSTS = [
  ...TOPOLOGY.vms.map(({ name }) => name),
  ...TOPOLOGY.edges.flatMap(({ gateway }) => (gateway ? [gateway.name] : [])),
  ...(TOPOLOGY.switch?.hosts ?? []).map(({ name }) => name),
];

/** True where an interface is a VM's. */
export const isVm = (id: string) => vmOf(id) !== undefined;
