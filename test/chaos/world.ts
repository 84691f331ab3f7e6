/** The intended state of the cluster at a moment, after all steps until then. Pure data. */
import { defaultTopology, type Topology } from '@mirrorplane/lab';

/** A policy as an operator wrote it, with every default filled in. */
export interface Spec {
  name: string;
  sources: string[];
  destination: string;
  direction: 'all' | 'inbound' | 'outbound';
  percent: number;
  vlanId?: number;
  maxRate?: number;
  enabled: boolean;
}

/** A step that must come later because of one that was. */
export interface Undo {
  action: string;
  params: unknown;
}

export interface World {
  /** VM to node. */
  places: Record<string, string>;
  /** VMs with a device that has lost its identity. */
  hidden: string[];
  policies: Record<string, Spec>;
  /** Edge-connected interface to the NIC that it is declared to be. */
  edges: Record<string, EdgeNic>;
  /** What each NIC of `edges` is called now. */
  nicNames: Record<string, string>;
  /** MTU of a node's underlay, where it is not that of the lab. */
  mtus: Record<string, number>;
  /** VMs with an interface that a device of another node claims too. */
  claimed: Claim[];
  /** Nodes that the fabric lets no ERSPAN through to. */
  cut: string[];
  /** Daemons that do not run now: `controller`, or the node of an agent. */
  down: string[];
  /** Steps that end what others began. */
  undo: Undo[];
  /** Numbers policies, so that no name comes twice. */
  policyCount: number;
  /** Numbers frames with forged addresses. */
  spoofCount: number;
}

/** A physical NIC: the node, and the name that it had when the lab was made. */
export interface EdgeNic {
  node: string;
  nic: string;
}

/** A device of a node that says to be a VM which is elsewhere. */
export interface Claim {
  vm: string;
  node: string;
  device: string;
}

export const isClaimed = ({ claimed }: Pick<World, 'claimed'>, id: string) => claimed.some(({ vm }) => vm === vmOf(id));

/** The lab that chaos runs on. The underlay has room for whole frames. */
export const TOPOLOGY: Topology = defaultTopology();
/** VMs that come to a node of the same communication domain, and the nodes they may be on. */
export const MOVING = ['web-1', 'web-2', 'fw-1', 'db-1', 'ids-1', 'app-1', 'mon-3'];
export const NODES = ['node-1', 'node-2', 'node-3'];
/** VMs that receive copies; the second never is a source, so that policies cannot form a circle. */
export const RECEIVERS = ['ids-1', 'mon-3'] as const;
export const EDGES = ['edge-1', 'edge-3'];
export const VLANS = [100, 200, 300];

export const interfaceOf = (vm: string) => `${vm}/0`;
export const vmOf = (id: string) => (id.endsWith('/0') ? id.slice(0, -2) : undefined);
export const nicKey = ({ node, nic }: EdgeNic) => `${node}:${nic}`;

/** The cluster as it is when the lab has just been made. */
export function firstWorld(): World {
  const edges: Record<string, EdgeNic> = {};
  const nicNames: Record<string, string> = {};
  for (const { node, device, declare } of TOPOLOGY.edges) {
    nicNames[nicKey({ node, nic: device })] = device;
    if (declare) {
      edges[declare.id] = { node, nic: device };
    }
  }
  return {
    places: Object.fromEntries(TOPOLOGY.vms.map(({ name, node }) => [name, node])),
    hidden: [],
    policies: {},
    edges,
    nicNames,
    mtus: {},
    claimed: [],
    cut: [],
    down: [],
    undo: [],
    policyCount: 0,
    spoofCount: 0,
  };
}

/** The node of an interface, or undefined where it has no device. */
export function nodeOf(world: World, id: string): string | undefined {
  const vm = vmOf(id);
  if (vm === undefined) {
    return world.edges[id]?.node;
  }
  return world.hidden.includes(vm) ? undefined : world.places[vm];
}

/** The state that a policy must reach. */
export function expectedState(world: World, { enabled, sources, destination }: Spec): string {
  if (!enabled) {
    return 'disabled';
  }
  const absent = sources.filter((id) => nodeOf(world, id) === undefined).length;
  if (nodeOf(world, destination) === undefined || absent === sources.length) {
    return 'waiting';
  }
  return absent > 0 ? 'degraded' : 'active';
}

/** The copies of a source go to a node that the fabric lets no ERSPAN through to. */
export function isCutOff(world: World, { destination }: Spec, source: string): boolean {
  const end = nodeOf(world, destination);
  return end !== undefined && world.cut.includes(end) && ![undefined, end].includes(nodeOf(world, source));
}

/** Policies that an interface has a part in. */
export function policiesWith(world: World, id: string): Spec[] {
  return Object.values(world.policies).filter((spec) => spec.destination === id || spec.sources.includes(id));
}
