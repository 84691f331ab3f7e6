/** The inventory of the cluster: declared by operators, observed by agents, and both merged. */
import * as z from 'zod';
import { Labels } from './access.ts';
import { MAX_COUNT, MAX_GUEST_MACS, MAX_INNER_ITEMS, Text, Word } from './bounds.ts';
import { ReasonCode } from './errors.ts';
import { DeviceName, DeviceReference, InterfaceId, MacAddress, Name, Timestamp } from './names.ts';
import { POOL_UNDERLAYS } from './pool-underlays.ts';
import { tunnelAddress, WireguardEnd } from './wireguard.ts';

/** `vm`: a VM's NIC. `nfv`: a NIC of a virtual router, firewall, load balancer. `edge`: joins virtual and physical. */
export const InterfaceKind = z.enum(['vm', 'nfv', 'edge']).meta({ id: 'InterfaceKind' });
export type InterfaceKind = z.infer<typeof InterfaceKind>;

/** Pools of one communication domain can reach each other. */
export const Domain = z
  .object({ name: Name, description: z.string().default(''), revision: z.number().int() })
  .meta({ id: 'Domain', examples: [{ name: 'dc-1', description: 'data centre 1', revision: 3 }] });
export type Domain = z.infer<typeof Domain>;
export const DomainSpec = z
  .strictObject({ description: z.string().max(1024).default('') })
  .meta({ id: 'DomainSpec', examples: [{ description: 'data centre 1' }] });
export type DomainSpec = z.infer<typeof DomainSpec>;

/** `plain`: copies cross the underlay in clear text. `wireguard`: they are encrypted, or not sent. */
export const PoolUnderlay = z.enum(POOL_UNDERLAYS).meta({
  id: 'PoolUnderlay',
  description:
    'wireguard: copies between nodes are encrypted if one of the two nodes is in this pool. Where that cannot be done, no copies are sent.',
});
export type PoolUnderlay = z.infer<typeof PoolUnderlay>;

/** A cluster of nodes within one communication domain. */
export const Pool = z
  .object({
    name: Name,
    domain: Name,
    description: z.string().default(''),
    underlay: PoolUnderlay.optional().meta({ description: 'Whether copies are encrypted. Absent: plain.' }),
    revision: z.number().int(),
  })
  .meta({ id: 'Pool', examples: [{ name: 'pool-a', domain: 'dc-1', description: 'hosts of row A', revision: 4 }] });
export type Pool = z.infer<typeof Pool>;
export const PoolSpec = z
  .strictObject({
    domain: Name,
    description: z.string().max(1024).default(''),
    underlay: PoolUnderlay.optional().meta({
      description:
        'Whether copies are encrypted. Absent: as it is, so nobody ends encryption by mistake. A new pool: plain.',
    }),
  })
  .meta({ id: 'PoolSpec', examples: [{ domain: 'dc-1', description: 'hosts of row A' }] });
export type PoolSpec = z.infer<typeof PoolSpec>;

export const NodeSpec = z.strictObject({ pool: Name }).meta({ id: 'NodeSpec', examples: [{ pool: 'pool-a' }] });
export type NodeSpec = z.infer<typeof NodeSpec>;

/** The largest MTU of a device. The kernel stores it in 32 bits without sign (IFLA_MTU). */
const MAX_MTU = 2 ** 32 - 1;

/** Where a node sends and receives ERSPAN. */
export const Underlay = z
  .object({
    device: DeviceName,
    address: z.ipv4().meta({ description: 'IPv4 address to which the other nodes send ERSPAN.' }),
    mtu: z.number().int().min(0).max(MAX_MTU).meta({ description: 'MTU of the device: bytes of the IP packet.' }),
    proves: z.literal(true).optional().meta({
      description:
        'Copies of the node carry the secret of their policy, and leave with TTL 255. Absent: its agent is of an earlier version.',
    }),
    lanes: z.literal(true).optional().meta({
      description:
        'The node numbers copies on each CPU, and counts lost copies of nodes that do. Absent: its agent is of an earlier version.',
    }),
    wireguard: WireguardEnd.optional().meta({
      description:
        'The node can encrypt copies. Absent: its kernel has no WireGuard, or its agent is of an earlier version.',
    }),
  })
  .meta({ id: 'Underlay' });
export type Underlay = z.infer<typeof Underlay>;

/**
 * The addresses that ERSPAN of a node can have: that of its underlay, and that of its key inside
 * tunnels. Empty without an underlay.
 */
export function copyAddresses(underlay: Underlay | undefined): string[] {
  const { address, wireguard } = underlay ?? {};
  return [...(address ? [address] : []), ...(wireguard ? [tunnelAddress(wireguard.publicKey)] : [])];
}

/** An edge-connected interface's device is found by its name or by its MAC address. */
export const EdgeDeclaration = z
  .strictObject({
    node: Name,
    device: DeviceReference.optional().meta({ description: 'Device name. Give device or mac.' }),
    mac: MacAddress.optional().meta({ description: 'Permanent MAC address. Give device or mac.' }),
    allowedVlans: z.array(z.number().int().min(1).max(4094)).optional().meta({
      description: 'VLAN IDs that the switch port allows. Absent: not checked.',
    }),
  })
  .refine((edge) => (edge.device === undefined) !== (edge.mac === undefined), {
    message: 'give either device or mac, and not both',
    path: ['device'],
  })
  .meta({ id: 'EdgeDeclaration' });
export type EdgeDeclaration = z.infer<typeof EdgeDeclaration>;

/** What an operator declares of an interface. `edge` is required for kind `edge` and refused for the others. */
export const InterfaceSpec = z
  .strictObject({
    kind: InterfaceKind,
    name: z.string().max(128).default(''),
    network: z.string().max(128).optional(),
    pool: Name.optional().meta({ description: 'For vm and nfv: the pool where the interface will appear.' }),
    edge: EdgeDeclaration.optional(),
    labels: Labels.optional(),
    boundTo: Name.optional().meta({
      description: 'For vm and nfv: the only node whose claim is accepted. Absent: the claim of any node.',
    }),
  })
  .refine((spec) => spec.kind !== 'edge' || spec.boundTo === undefined, {
    message: 'an edge-connected interface is on its edge.node: leave boundTo out',
    path: ['boundTo'],
  })
  .refine((spec) => (spec.kind === 'edge') === (spec.edge !== undefined), {
    message: 'an edge-connected interface needs edge.node with edge.device or edge.mac; the other kinds take no edge',
    path: ['edge'],
  })
  .meta({
    id: 'InterfaceSpec',
    examples: [
      { kind: 'edge', name: 'uplink of node-1', edge: { node: 'node-1', device: 'eth2', allowedVlans: [100, 200] } },
      { kind: 'vm', pool: 'pool-a' },
    ],
  });
export type InterfaceSpec = z.infer<typeof InterfaceSpec>;

/** All identity providers. */
export const IdentityProvider = z.enum([
  'alias',
  'declared',
  'libvirt',
  'proxmox',
  'incus',
  'containers',
  'open-vswitch',
]);

/** The identity of a device, from an identity provider. */
export const DeviceIdentity = z.object({
  kind: InterfaceKind,
  id: InterfaceId,
  name: z.string().max(128).default(''),
  network: z.string().max(128).optional(),
  provider: z
    .union([IdentityProvider, Word])
    .meta({ description: 'Provider that reports the identity. A newer agent may have more providers.' }),
});
export type DeviceIdentity = z.infer<typeof DeviceIdentity>;

/**
 * Whether the guest runs behind a device. `absent`: it does not run there now, for example on the
 * target node of a live migration before the switch-over, or on the origin node afterwards. Left
 * out: not known. Then the guest counts as running, unless another node has it.
 */
export const GuestState = z.enum(['running', 'absent']);
export type GuestState = z.infer<typeof GuestState>;

const guestMacs = z
  .array(MacAddress)
  .min(1)
  .max(MAX_GUEST_MACS)
  .optional()
  .meta({
    description:
      'MAC addresses that the guest uses: what its identity provider says, and what its bridge has learned. ' +
      'Absent: not known, or more than 64.',
  });

/** A kernel netdev on a node, as an agent observes it. */
export const Device = z
  .object({
    name: DeviceName,
    ifindex: z.number().int().positive(),
    mac: Word,
    mtu: z.number().int().min(0).max(MAX_MTU),
    up: z.boolean(),
    linkType: Word.meta({ description: 'Link kind in the kernel, for example veth or tun. Empty for a physical NIC.' }),
    identity: DeviceIdentity.optional(),
    identityError: Text.optional().meta({ description: 'Why an alias that names Mirrorplane cannot be read.' }),
    guest: GuestState.optional(),
    guestMacs,
    notMirrorable: z
      .object({ guest: Text.optional(), edge: Text.optional(), destination: Text.optional() })
      .optional()
      .meta({
        description:
          'Why the device cannot be the device of a guest (vm, nfv), of an edge, or of a destination that is a guest. ' +
          'For example "is a bridge, …: …". Absent: it can.',
      }),
    altNames: z.array(Word).max(MAX_INNER_ITEMS).optional().meta({ description: 'Other names of the device.' }),
    warning: Text.optional().meta({ description: 'Packets of the interface that are not seen on this device.' }),
    sharesWith: z.array(DeviceName).max(MAX_INNER_ITEMS).optional().meta({
      description:
        'Devices of the node that carry the same packets: the devices below a VLAN device, the other end of a veth.',
    }),
  })
  .meta({ id: 'Device' });
export type Device = z.infer<typeof Device>;

/** The device of an interface today, and its node. */
export const InterfaceDevice = z.object({
  node: Name,
  name: DeviceName,
  ifindex: z.number().int(),
  mac: z.string(),
  mtu: z.number().int(),
  up: z.boolean(),
  guest: GuestState.optional(),
  guestMacs,
  notMirrorable: z
    .string()
    .optional()
    .meta({ description: 'Why the device cannot be mirrored, for example "is a bridge, …: …".' }),
  noDestination: z
    .string()
    .optional()
    .meta({ description: 'Why the device cannot receive copies, although it can be mirrored.' }),
  warning: Text.optional().meta({ description: 'Packets that are not seen on this device.' }),
  sharesWith: z
    .array(DeviceName)
    .max(MAX_INNER_ITEMS)
    .optional()
    .meta({ description: 'Devices of the node that carry the same packets.' }),
});
export type InterfaceDevice = z.infer<typeof InterfaceDevice>;

/**
 * Something that can be mirrored or receive copies. `devices` has no entry, one entry, or two
 * during a live migration. The newest entry is the last. `home` is the node where the guest is. It
 * is undefined without a device. `pool` is the pool of `home`, or the last known pool. It is
 * undefined where none was ever known.
 */
export const Interface = z
  .object({
    id: InterfaceId,
    kind: InterfaceKind,
    name: z.string().meta({ description: 'Display name.' }),
    network: z.string().optional().meta({ description: 'Network of the interface, by its name in the orchestrator.' }),
    pool: Name.optional().meta({ description: 'Pool of `home`, or the last known pool.' }),
    edge: EdgeDeclaration.optional(),
    declared: z
      .boolean()
      .meta({ description: 'True: an operator has declared the interface. False: only agents have seen it.' }),
    devices: z.array(InterfaceDevice).meta({
      description: 'Devices of the interface: none, one, or two during a live migration. The newest is last.',
    }),
    home: Name.optional().meta({ description: 'The node where the guest runs now.' }),
    labels: Labels.optional(),
    boundTo: Name.optional().meta({
      description: 'The only node whose claim is accepted. An operator has set it.',
    }),
    contested: z.array(Name).optional().meta({
      description:
        'Other nodes that claim the interface. Their claims are refused: `home` or `boundTo` has the interface.',
    }),
    revision: z.number().int(),
  })
  .meta({
    id: 'Interface',
    examples: [
      {
        id: 'web-1/0',
        kind: 'vm',
        name: 'web-1 eth0',
        network: 'blue',
        pool: 'pool-a',
        declared: false,
        devices: [{ node: 'node-1', name: 'tap-web-1', ifindex: 5, mac: '02:01:00:00:00:01', mtu: 1500, up: true }],
        home: 'node-1',
        revision: 12,
      },
    ],
  });
export type Interface = z.infer<typeof Interface>;

/**
 * How a data plane attaches its BPF programs to devices: by tcx, or as clsact filters on kernels
 * without tcx.
 */
export const HookKind = z.enum(['tcx', 'clsact']);
export type HookKind = z.infer<typeof HookKind>;

/**
 * The current budget of a device: what service traffic leaves for copies, as the agent measures it.
 */
export const DeviceBudget = z
  .object({
    device: DeviceName,
    bytesPerSecond: z
      .number()
      .int()
      .min(0)
      .max(MAX_COUNT)
      .meta({ description: 'Budget for copies, counted as on the wire. 0: no limit.' }),
  })
  .meta({ id: 'DeviceBudget' });
export type DeviceBudget = z.infer<typeof DeviceBudget>;

/** A problem of a node, and what to do about it. */
export const ShownProblem = z.object({
  code: ReasonCode,
  message: z.string(),
  remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
});
export type ShownProblem = z.infer<typeof ShownProblem>;

/** A host that runs the agent. `underlay` is undefined until the agent has connected once. */
export const Node = z
  .object({
    name: Name,
    pool: Name,
    connected: z.boolean(),
    underlay: Underlay.optional(),
    agentVersion: z.string().optional(),
    kernel: z.string().optional(),
    hook: HookKind.optional().meta({ description: 'How the BPF programs of the node are attached to devices.' }),
    lastSeenAt: Timestamp.optional(),
    certificateEndsAt: Timestamp.optional().meta({
      description: 'Time when the certificate of the agent ends. Absent until the agent has connected.',
    }),
    programRevision: z
      .number()
      .int()
      .optional()
      .meta({ description: 'Revision of the last node program that was sent.' }),
    appliedRevision: z.number().int().optional().meta({ description: 'Revision that the kernel of the node runs.' }),
    problems: z.array(ShownProblem).default([]),
    devices: z.array(Device).default([]),
    budgets: z.array(DeviceBudget).default([]).meta({
      description: 'Budgets of the devices by which copies leave the node. Present while its agent is connected.',
    }),
    ending: z.array(z.string()).default([]).meta({
      description:
        'Names of disabled and deleted policies for which this node may still copy. The node has not confirmed that it stopped.',
    }),
    revision: z.number().int(),
  })
  .meta({
    id: 'Node',
    examples: [
      {
        name: 'node-1',
        pool: 'pool-a',
        connected: true,
        underlay: { device: 'underlay0', address: '10.98.0.11', mtu: 1600 },
        agentVersion: '0.1.0',
        kernel: '6.12.38',
        hook: 'tcx',
        lastSeenAt: '2026-01-31T12:00:00.000Z',
        certificateEndsAt: '2027-01-31T12:00:00.000Z',
        programRevision: 17,
        appliedRevision: 17,
        problems: [],
        devices: [
          { name: 'underlay0', ifindex: 3, mac: '02:03:00:00:00:0b', mtu: 1600, up: true, linkType: '' },
          {
            name: 'tap-web-1',
            ifindex: 5,
            mac: '02:01:00:00:00:01',
            mtu: 1500,
            up: true,
            linkType: 'tun',
            identity: { kind: 'vm', id: 'web-1/0', name: 'web-1 eth0', network: 'blue', provider: 'libvirt' },
          },
        ],
        budgets: [{ device: 'underlay0', bytesPerSecond: 1_125_000_000 }],
        ending: [],
        revision: 5,
      },
    ],
  });
export type Node = z.infer<typeof Node>;

/** Everything that the planner needs to know about the cluster. Plain arrays, in any order. */
export interface Inventory {
  domains: readonly Pick<Domain, 'name'>[];
  pools: readonly Pick<Pool, 'name' | 'domain' | 'underlay'>[];
  nodes: readonly Pick<Node, 'name' | 'pool' | 'underlay'>[];
  interfaces: readonly Pick<
    Interface,
    'id' | 'kind' | 'pool' | 'edge' | 'devices' | 'home' | 'contested' | 'boundTo'
  >[];
}
