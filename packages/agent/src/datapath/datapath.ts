/**
 * The narrow interface between the agent and the data plane. `kernel/` is the real implementation,
 * and `fake.ts` is one in memory. It uses words of the kernel (ifindex, hook). `reconcile.ts`
 * translates a node program into them.
 */
import type {
  CaptureCounts,
  CompiledWords,
  CopyFate,
  CounterReport,
  ErrorCode,
  GuestCopies,
  HookKind,
  LookPlace,
  ProbeCounts,
  ProbeSize,
} from '@mirrorplane/contract';
import type { Hook } from './hook.ts';
import type { LookGap, LookReading } from './look-reading.ts';

export type { Hook } from './hook.ts';
export type { LookCounts, LookDrop, LookGap, LookPacket, LookReading } from './look-reading.ts';

/** One source in one direction: at most one device and hook on a node. */
export interface HookCapture {
  /** `POLICY_UID/SOURCE_ID/DIRECTION`. It identifies the counters, which outlive the device. */
  id: string;
  policy: string;
  source: string;
  direction: 'inbound' | 'outbound';
  /**
   * 0: the capture is inactive, because the source has no device on this node now. Its counters are
   * kept.
   */
  ifindex: number;
  hook: Hook;
  /** MTU of the device in bytes. Left out: no delivery has a smaller MTU. */
  mtu?: number;
  /** 0 to 2^32: a packet is copied where a random 32-bit number is below it. 2^32 copies all. */
  threshold: number;
  /** Frames with this outermost VLAN ID are left out; 0: none. */
  skipVlanId: number;
  /** 0 to 1023. The ERSPAN index contains it together with the direction. */
  sourceSlot: number;
  /** id of a delivery of the same state. */
  delivery: string;
  /**
   * The source is an edge: traffic of the node itself and frames of `copyVlans` are left out.
   * Default false.
   */
  edge?: boolean;
  /**
   * ifindex of the bridge where unicast for this source is captured on arrival. 0 or left out:
   * none.
   */
  arrivalBridge?: number;
  /**
   * The guest is on another node now. Packets into the device are skipped until the data plane sees
   * a frame of the guest here. Default false.
   */
  standby?: boolean;
  /**
   * The controller says that the guest may leave this node. A frame of the guest from an uplink of
   * its bridge then proves that it has left. Default false.
   */
  handingOver?: boolean;
}

interface DeliveryBase {
  id: string;
  policy: string;
  /**
   * Device that copies leave by. 0: the device is absent, and copies are dropped as
   * `destinationDown`.
   */
  ifindex: number;
  /** MTU of that device in bytes. For ERSPAN, the smaller MTU of both ends. */
  mtu: number;
  /**
   * Bytes of copies a second that the captures of this delivery may make together. Left out: no
   * limit.
   */
  maxRate?: number;
}

export interface LocalDeliveryEntry extends DeliveryBase {
  kind: 'local';
  /**
   * Copies that the destination's guest sends on may pass. Default false: they are dropped at the
   * device.
   */
  allowFeedback?: boolean;
  /**
   * The guest is about to come from another node. The first address that it uses here is its own.
   * Default false.
   */
  arriving?: boolean;
  /**
   * The guest is about to leave this node: copies are held until it has read them. `released`: it
   * has left, and unread copies go by the delivery `relay` to the target node. Only for devices
   * that a guest reads, as a tap.
   */
  handover?: { interface: string; target: string; relay: string; released: boolean };
}
export interface EdgeDeliveryEntry extends DeliveryBase {
  kind: 'edge';
  vlanId: number;
}
export interface ErspanDeliveryEntry extends DeliveryBase {
  kind: 'erspan';
  /** IPv4 addresses in dotted form. */
  sourceAddress: string;
  address: string;
  /** 1 to 1023. */
  session: number;
  /** 0 to 511. It says which of the policies that had the session one after another is meant. */
  generation: number;
  /** 0 to 2047. Goes with each copy. Default 0. */
  secret?: number;
  /**
   * MTU of the destination's own device in bytes, if known. TCP is cut into segments of this size.
   */
  destinationMtu?: number;
  /**
   * The receiver counts loss in each lane, so each CPU numbers its copies. Default false: all CPUs
   * share one number.
   */
  lanes?: boolean;
  /**
   * Copies are encrypted: `ifindex` is a WireGuard device, and this is the device that carries its
   * packets. Left out: in clear text.
   */
  carrier?: number;
}
export type DeliveryEntry = LocalDeliveryEntry | EdgeDeliveryEntry | ErspanDeliveryEntry;

/** ERSPAN from `address` to `ownAddress` with `session`, `generation` and `secret` becomes `delivery`. */
export interface TerminationEntry {
  id: string;
  policy: string;
  /** Name of the sending node. */
  node: string;
  address: string;
  /** The address that the sender must use: the underlay address of this node. */
  ownAddress: string;
  session: number;
  generation: number;
  /** 0 to 2047. Left out: the sender may not know it, and it is not checked. */
  secret?: number;
  /** The lowest TTL with which a copy may arrive. Default 0: it is not checked. */
  leastTtl?: number;
  /**
   * A route by the mirror device leads to the sender. Default true. False: its address is forged,
   * so nothing is delivered.
   */
  hasWayBack?: boolean;
  /**
   * ifindex of the device that copies come from: a tunnel, if they are encrypted. 0: the tunnel is
   * absent, and nothing is delivered. Default the mirror device.
   */
  device?: number;
  /**
   * Copies are encrypted, and this is the underlay address of the other node: ERSPAN that comes from
   * it in clear text is refused and counted. Left out: copies come in clear text.
   */
  carrierAddress?: string;
  /** id of a delivery of the same state. A delivery to another node relays the copies to it. */
  delivery: string;
}

/** The most WireGuard devices of a node: two while its key changes. */
export const MAX_TUNNELS = 2;

/** A place where frames enter a bridge: ingress of a port, egress of the bridge device itself. */
export interface ArrivalPort {
  ifindex: number;
  hook: Hook;
  /** ifindex of the bridge. */
  bridge: number;
  /**
   * A guest that leaves the node may appear behind this port: the bridge learns here, and no guest
   * of this node is behind it. Default true.
   */
  uplink?: boolean;
}

/** An address of a guest behind a mirrored port, from the bridge's forwarding table. */
export interface Arrival {
  bridge: number;
  mac: string;
  /** The port. */
  ifindex: number;
}

/** A bounded view of packets on their way. It copies nothing, and counts in no policy's books. */
export interface LookEntry {
  id: string;
  /**
   * When it ends by itself, in milliseconds of CLOCK_MONOTONIC as `process.hrtime` has it: a dead
   * agent leaves no look.
   */
  endsAt: number;
  /** Which packets it asks for. */
  words: CompiledWords;
  /** What became of their copies. Default whatever. */
  fates?: readonly CopyFate[];
  /** Bytes of a packet at most, tags that are metadata left out. 1 to 1600. */
  length: number;
  /**
   * Packets a second, and bytes of records a second (each has 48 beside the packet's own), at most.
   */
  packetRate: number;
  byteRate: number;
  /** Where it sees every packet: the devices of guests. */
  hooks: readonly { ifindex: number; hook: Hook; place: LookPlace }[];
  /**
   * Where it sees what is for its guests as it enters their bridges; the ports of the guests among
   * them. Default nowhere.
   */
  ports?: readonly Pick<ArrivalPort, 'ifindex' | 'hook' | 'bridge'>[];
  /** Its guests, as the bridges know them. Default none. */
  guests?: readonly Arrival[];
  /** A device is a port of Open vSwitch in the kernel. Default false. */
  isOnOpenVswitch?: boolean;
}

/** A frame that nobody has sent, for the test of a policy. */
export interface ProbeEntry {
  /** Destination and source address of its Ethernet header, hexadecimal. No other probe has them. */
  name: string;
  /** Where the capture is that hands it over. */
  ifindex: number;
  hook: Hook;
  size: ProbeSize;
  /** MTU of that device, bytes. */
  mtu: number;
}

/** The whole desired state of a node's data plane. */
export interface DatapathState {
  captures: HookCapture[];
  deliveries: DeliveryEntry[];
  terminations: TerminationEntry[];
  /** ifindex of the mirror device, with the BPF program `terminate`. 0: none. */
  mirrorDevice: number;
  /**
   * ifindexes of the WireGuard devices that encrypted copies come from, at most MAX_TUNNELS. Default
   * none.
   */
  tunnels?: number[];
  /**
   * Ports where unicast towards mirrored guests is captured before a firewall of the bridge can
   * drop it. Default none.
   */
  arrivalPorts?: ArrivalPort[];
  arrivals?: Arrival[];
  /** IPv4 and IPv6 addresses of the node. Default none. */
  hostAddresses?: string[];
  /** ifindexes of devices where copies may come back from the physical network. Default none. */
  physicalDevices?: number[];
  /**
   * VLAN IDs that edges of other nodes push on copies, 1 to 4094. Frames with such a VLAN ID count
   * as copies. VLAN IDs of this node's own edges are in the deliveries, and those copies are
   * recognised one by one. Default none.
   */
  copyVlans?: number[];
  /**
   * Copies of guests that leave edges of other nodes with a VLAN ID outside `copyVlans`. A frame
   * from outside with the VLAN ID is such a copy if it has one of these addresses. Default none.
   */
  guestCopies?: GuestCopies[];
  /** Bytes of copies a second that the node may make. Left out: no limit. */
  maxRate?: number;
  /**
   * Copies that leave the node by a device use that device's budget (`setDeviceBudgets`). Default
   * false.
   */
  protect?: boolean;
  /** Copies use the node's budget for CPUs (`setNodeBudget`). Default false. */
  protectCpu?: boolean;
  /** At most LOOK_LIMITS.looks. Default none. */
  looks?: LookEntry[];
}

/** The budget of the node for its CPUs. `maxRate` applies in addition. */
export interface NodeBudget {
  /** Bytes of copies a second; 0: no limit. */
  rate: number;
  /** Bytes of copies that were allowed so far. Only counted while there was a limit. */
  passed: number;
  /**
   * Packets whose copies were dropped as `overBudget` so far, because of this budget or `maxRate`.
   */
  refused: number;
}

/** The budget of a device by which copies leave the node. */
export interface DeviceBudget {
  ifindex: number;
  /** Bytes of copies a second; 0: no limit. */
  rate: number;
  /** Bytes of copies that were allowed so far, as on the wire: with preamble, checksum and gap. */
  passed: number;
  /** Packets whose copies were dropped as `overBudget` so far, because of this budget. */
  refused: number;
}

/** A capture that the kernel has refused. All others are in force. */
export interface CaptureRefusal {
  id: string;
  ifindex: number;
  code: Extract<ErrorCode, 'ATTACH_FAILED' | 'HOOK_OCCUPIED' | 'DEVICE_UNSUPPORTED'>;
  message: string;
  /** True if the device was removed while the capture was being attached. */
  gone?: boolean;
  /** True if unicast is still captured where it enters the bridge. */
  arrives?: boolean;
}

/**
 * A part of the data plane that others had removed or pushed aside, and that is in its place again.
 * - `takenOff`, `pushedBack`: a BPF program was missing at its hook, or another program ran before
 *   it.
 * - `unpinned`: pins of maps, programs or links were removed.
 * - `helperGone`, `helperChanged`: the helper device was deleted, or it was brought down or
 *   renamed.
 * - `mapWritten`: other software changed rows of maps.
 */
export interface Repair {
  kind: 'takenOff' | 'pushedBack' | 'unpinned' | 'helperGone' | 'helperChanged' | 'mapWritten';
  /** Number of repaired parts. For a program 1. */
  count: number;
  /** Name of the program, for example `capture_ingress`, and its device. */
  program?: string;
  ifindex?: number;
}

/** A problem of several captures, or of a part of one. Everything else is in force. */
export interface DatapathProblem {
  code: Extract<ErrorCode, 'ATTACH_FAILED' | 'HOOK_OCCUPIED' | 'ARRIVAL_UNSEEN' | 'FEEDBACK_UNSEEN' | 'TABLE_FULL'>;
  message: string;
  /** The affected policy and source. Left out: the whole node. */
  policy?: string;
  interface?: string;
}

/** Counts of the copies that were held for a guest that has left. In packets. */
export interface HeldCounts {
  interface: string;
  /** Name of the node where the guest is now. */
  node: string;
  /** Copies that were put into its device while it was about to leave. */
  handed: number;
  /** Of these, copies taken out of the device: by the guest, except the `unconfirmed` ones. */
  read: number;
  /** Of these, copies relayed to the target node. */
  relayed: number;
  /**
   * Of the relayed copies, those that were also taken out of the device, at a time when the guest
   * may already have stopped.
   */
  unconfirmed: number;
}

export interface ApplyResult {
  refused: CaptureRefusal[];
  /** ids of captures with a device that are newly in force. */
  begun: string[];
  /**
   * When the last of these was attached, in milliseconds of `performance.now()`. Left out: none was
   * attached, or the time is unknown.
   */
  begunAt?: number;
  problems: DatapathProblem[];
  /**
   * Numbers of programs attached and detached, and of map entries written. All are 0 if nothing
   * changed.
   */
  attached: number;
  detached: number;
  written: number;
  repaired: Repair[];
  /** Counts for guests that have left, and for which no copy is held any longer. */
  held: HeldCounts[];
  /** Where looks see nothing. */
  unseen: LookGap[];
  /**
   * Why looks do not hear drops of this kernel, or not all. Left out: they do, or there is no look.
   */
  unheard?: string;
}

/** How a state is applied. */
export interface ApplyOptions {
  /** Also looks for interference and repairs it. False if something urgent waits. Default true. */
  look?: boolean;
}

export interface Datapath {
  /**
   * Loads the build into the kernel if it is not installed, and changes nothing on the node. `open`
   * uses the loaded build. `close` drops it.
   * @returns whether this build was already installed completely
   * @throws Error if the kernel lacks a feature
   */
  prepare(): Promise<{ installed: boolean }>;
  /**
   * Takes over the pinned data plane, or installs it. Idempotent. @throws Error if the kernel lacks
   * a feature
   */
  open(): Promise<void>;
  /** How BPF programs are attached to devices. */
  hookKind(): HookKind;
  /**
   * Makes the data plane equal to `desired`. Programs of others are not touched. Terminations whose
   * number `desired` does not have end first. Deliveries are written before the captures and
   * terminations that use them, and removed after them. Applying the same state again writes
   * nothing.
   */
  apply(desired: DatapathState, options?: ApplyOptions): Promise<ApplyResult>;
  /**
   * Whether the data plane is as the last `apply` has left it, as far as this can be seen cheaply.
   * False where that apply had something to repair, or problems: what has become of them is to be
   * seen. `apply` with a look sees more.
   * @param half of the hooks and tables that is asked. Each question about a hook takes a lock that
   * all who change devices of the machine wait for. Default: all
   */
  isIntact(half?: 0 | 1): boolean;
  /**
   * All counters: of the parts of the last applied state, and of parts that have left it, until
   * their last counts are saved. If a new part needs a counter slot and none is free, it gets the
   * slot of the part that left first, saved or not.
   */
  counters(): Promise<CounterReport>;
  /**
   * The controller has saved the counters of one reading.
   * @param readAt time of the call of `counters`, in milliseconds of `performance.now()`
   */
  countersSaved(readAt: number): void;
  /**
   * Counts of a few captures, by id. Much cheaper than `counters`. Captures that were never in a
   * state are left out.
   */
  countsOf(ids: readonly string[]): ReadonlyMap<string, CaptureCounts>;
  /** Budgets of all devices by which copies leave, if the last applied state has `protect`. */
  deviceBudgets(): Promise<DeviceBudget[]>;
  /**
   * Whether copies have left by a device with a budget, or were refused, since the last call, or other
   * devices have one. True the first time. A small fraction of the cost of `deviceBudgets`.
   */
  haveBudgetsMoved(): boolean;
  /**
   * Sets budgets of devices, by ifindex, in bytes a second. 0: no limit. They stay in force until
   * they are set again, also while no agent runs. Devices by which no copies leave are ignored.
   */
  setDeviceBudgets(rates: ReadonlyMap<number, number>): Promise<void>;
  /** The budget of the node. */
  nodeBudget(): Promise<NodeBudget>;
  /**
   * Sets the budget of the node in bytes a second. 0: no limit. It stays in force, also while no
   * agent runs, until it is set again or a state without `protectCpu` is applied.
   */
  setNodeBudget(rate: number): Promise<void>;
  /**
   * What the looks of the state applied last have seen and heard since the last call, in the order
   * of each CPU, and what each has counted since it began.
   * @param most packets, and drops, at most: the rest comes with the next call
   */
  readLooks(most: number): Promise<LookReading>;
  /**
   * The probes that this node makes or expects from now on, by name. New ones begin at 0, and all
   * others are forgotten.
   */
  expectProbes(names: readonly string[]): Promise<void>;
  /**
   * Makes a probe that is expected. The data plane makes each probe once, and hands it over as the
   * capture at that device and hook does. @throws Error if the kernel refuses the frame
   */
  makeProbe(probe: ProbeEntry): Promise<void>;
  /** What became of all expected probes on this node so far, by name. */
  readProbes(): Promise<ReadonlyMap<string, ProbeCounts>>;
  /** Closes file descriptors. The data plane continues. */
  close(): void;
  /** Removes every link, pin, map and helper device of Mirrorplane. */
  uninstall(): Promise<void>;
}
