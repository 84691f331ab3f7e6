/**
 * The narrow interface between the agent and whatever copies packets. `kernel/` is the real one, `fake.ts` stands beside
 * it. Its words are the kernel's (ifindex, hook); `reconcile.ts` translates a node program into them.
 */
import type { CaptureCounts, CounterReport, ErrorCode, HookKind } from '@mirrorplane/contract';

/** `ingress`: what the device receives; `egress`: what the node sends into the device. */
export type Hook = 'ingress' | 'egress';

/** One source in one direction: at most one device and hook on a node. */
export interface HookCapture {
  /** `POLICY_UID/SOURCE_ID/DIRECTION`: the identity of its counters, which outlive the device. */
  id: string;
  policy: string;
  source: string;
  direction: 'inbound' | 'outbound';
  /** 0: resting, the source has no device on this node now. Its counters are kept. */
  ifindex: number;
  hook: Hook;
  /** MTU of the device in bytes. Left out: no delivery has a smaller one. */
  mtu?: number;
  /** 0 to 2^32: a packet is copied where a random 32-bit number is below it. 2^32 copies all. */
  threshold: number;
  /** Frames with this outermost VLAN ID are left out; 0: none. */
  skipVlanId: number;
  /** 0 to 1023, goes into the ERSPAN index together with the direction. */
  sourceSlot: number;
  /** id of a delivery of the same state. */
  delivery: string;
  /** The source is an edge: traffic of the node itself and frames of `copyVlans` are left out. Default false. */
  edge?: boolean;
  /** ifindex of the bridge where unicast for this source is captured as it arrives, to name it; 0 or left out: none. */
  arrivalBridge?: number;
  /**
   * The guest is on another node now: what is sent into the device is left out, until the guest itself sends a frame here,
   * which the data plane itself sees. Default false.
   */
  standby?: boolean;
  /** The controller says that the guest may leave this node: seen behind an uplink of its bridge, it has. Default false. */
  handingOver?: boolean;
}

interface DeliveryBase {
  id: string;
  policy: string;
  /** Device that the copies leave by. 0: it is gone; copies are dropped as `destinationDown`. */
  ifindex: number;
  /** MTU of that device in bytes; for ERSPAN the smaller of both ends. */
  mtu: number;
  /** Bytes of copies a second that the captures of this delivery may make together. Left out: no limit. */
  maxRate?: number;
}

export interface LocalDeliveryEntry extends DeliveryBase {
  kind: 'local';
  /** What the destination's guest sends of these copies may pass. Default false: it ends at the device. */
  allowFeedback?: boolean;
  /** The guest is about to come from another node: the first address that it uses here is its own. Default false. */
  arriving?: boolean;
  /**
   * The guest is about to leave this node: copies are held until it has read them. `released`: it has, and what it has not
   * read goes by the delivery `relay` to the target node. Only into devices that a guest reads from the node, as a tap.
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
  /** 0 to 511: which of the policies that had the session one after another. */
  generation: number;
  /** MTU of the destination's own device in bytes, where that is known: TCP is cut to it. */
  destinationMtu?: number;
  /** Link-layer addresses towards the next hop. Undefined while not resolved: only IP frames can be sent then. */
  nextHop?: { sourceMac: string; destinationMac: string };
}
export type DeliveryEntry = LocalDeliveryEntry | EdgeDeliveryEntry | ErspanDeliveryEntry;

/** ERSPAN from `address` to `ownAddress` with `session` and `generation` becomes `delivery`. */
export interface TerminationEntry {
  id: string;
  policy: string;
  /** Name of the sending node. */
  node: string;
  address: string;
  /** Where the sender has to send to: the underlay address of this node. */
  ownAddress: string;
  session: number;
  generation: number;
  /** id of a delivery of the same state; one to another node passes the copies on to it. */
  delivery: string;
}

/** A place where frames enter a bridge: ingress of a port, egress of the bridge device itself. */
export interface ArrivalPort {
  ifindex: number;
  hook: Hook;
  /** ifindex of the bridge. */
  bridge: number;
  /** A guest that leaves the node may be behind it: the bridge learns here, and no guest of this node is here. Default true. */
  uplink?: boolean;
}

/** A guest behind a mirrored port, as the bridge's forwarding table has it. */
export interface Arrival {
  bridge: number;
  mac: string;
  /** The port. */
  ifindex: number;
}

/** Everything that the data plane of a node does. */
export interface DatapathState {
  captures: HookCapture[];
  deliveries: DeliveryEntry[];
  terminations: TerminationEntry[];
  /** ifindex of the mirror device, where `terminate` hangs; 0: none. */
  mirrorDevice: number;
  /** Where unicast towards mirrored guests is captured before a firewall of the bridge can drop it. Default nowhere. */
  arrivalPorts?: ArrivalPort[];
  arrivals?: Arrival[];
  /** IPv4 and IPv6 addresses of the node. Default none. */
  hostAddresses?: string[];
  /** ifindexes of devices by which copies may come back from the physical network. Default none. */
  physicalDevices?: number[];
  /**
   * VLAN IDs that edges of other nodes push on copies, 1 to 4094: frames that have one are taken for copies. Those that
   * edges of this node push are known by the deliveries; there each copy is known again. Default none.
   */
  copyVlans?: number[];
  /** Bytes of copies a second that the node may make. Left out: no limit. */
  maxRate?: number;
  /** Copies that leave the node by a device count against that device's budget, see `setDeviceBudgets`. Default false. */
  protect?: boolean;
  /** Copies count against what CPUs leave for them, see `setNodeBudget`. Default false. */
  protectCpu?: boolean;
}

/** The budget of the node for what its CPUs leave. `maxRate` holds beside it. */
export interface NodeBudget {
  /** Bytes of copies a second; 0: no limit. */
  rate: number;
  /** Bytes of copies that were allowed so far, counted while there was a limit. */
  passed: number;
  /** Packets whose copies were dropped so far, as `overBudget`, because of this budget or `maxRate`. */
  refused: number;
}

/** The budget of a device by which copies leave the node. */
export interface DeviceBudget {
  ifindex: number;
  /** Bytes of copies a second; 0: no limit. */
  rate: number;
  /** Bytes of copies that were allowed so far, as they are on the wire, with what is between frames there. */
  passed: number;
  /** Packets whose copies were dropped so far, as `overBudget`, because of this budget. */
  refused: number;
}

/** A capture that the kernel did not take. All others are in force. */
export interface CaptureRefusal {
  id: string;
  ifindex: number;
  code: Extract<ErrorCode, 'ATTACH_FAILED' | 'HOOK_OCCUPIED' | 'DEVICE_UNSUPPORTED'>;
  message: string;
  /** True where the device went while the capture was being attached. */
  gone?: boolean;
  /** True where frames whose way the bridge knows are captured all the same, where they enter it. */
  arrives?: boolean;
}

/**
 * Something of ours that others had taken away or pushed aside, and that is in its place again.
 * - `takenOff`, `pushedBack`: a program at a hook; another program ran before it, or it was not there any more.
 * - `unpinned`: pins of maps, programs or links were removed.
 * - `helperGone`, `helperChanged`: the helper device was deleted; or it was brought down or renamed.
 * - `mapWritten`: rows of our maps were changed.
 */
export interface Repair {
  kind: 'takenOff' | 'pushedBack' | 'unpinned' | 'helperGone' | 'helperChanged' | 'mapWritten';
  /** How many; of a program 1. */
  count: number;
  /** Name of the program, as `capture_ingress`, and its device. */
  program?: string;
  ifindex?: number;
}

/** What stands in the way of more than one capture, or of a part of one. All else is in force. */
export interface DatapathProblem {
  code: Extract<ErrorCode, 'ATTACH_FAILED' | 'HOOK_OCCUPIED' | 'ARRIVAL_UNSEEN' | 'FEEDBACK_UNSEEN' | 'TABLE_FULL'>;
  message: string;
  /** The policy, and the source, that it concerns; left out: all of the node. */
  policy?: string;
  interface?: string;
}

/** What has become of the copies that were held for a guest which has left. In packets. */
export interface HeldCounts {
  interface: string;
  /** Name of the node where the guest is now. */
  node: string;
  /** Put into its device while it was about to leave. */
  handed: number;
  /** Of those, taken out of it: by the guest, except the `unconfirmed`. */
  read: number;
  /** Of those, relayed to the target node. */
  relayed: number;
  /** Of those that were relayed, taken out of the device before, for a guest that may have stopped by then. */
  unconfirmed: number;
}

export interface ApplyResult {
  refused: CaptureRefusal[];
  /** ids of the captures on devices that were not in force before, and are now. */
  begun: string[];
  /** When the last of those was attached, in milliseconds of `performance.now()`. Left out: none was, or it is not known. */
  begunAt?: number;
  problems: DatapathProblem[];
  /** How many programs were attached and detached, and map entries written: 0 everywhere where nothing changed. */
  attached: number;
  detached: number;
  written: number;
  repaired: Repair[];
  /** Of guests that have left and are held for no longer. */
  held: HeldCounts[];
}

/** How a state is applied. */
export interface ApplyOptions {
  /** Looks for what others did to us, too, and puts it right: not where something urgent waits. Default true. */
  look?: boolean;
}

export interface Datapath {
  /**
   * Loads into the kernel what is not installed, and changes nothing on the node. `open` goes on with it, `close` drops it.
   * @returns whether all of this build was installed already
   * @throws Error where the kernel lacks what is needed
   */
  prepare(): Promise<{ installed: boolean }>;
  /** Takes over what is pinned, or installs it. Idempotent. @throws Error where the kernel lacks what is needed. */
  open(): Promise<void>;
  /** How its programs hang at devices. */
  hookKind(): HookKind;
  /**
   * Makes the kernel do `desired` and nothing else of ours; what others attached is not touched. Deliveries are written
   * before the captures that use them, and removed after. Applying the same state again writes nothing.
   */
  apply(desired: DatapathState, options?: ApplyOptions): Promise<ApplyResult>;
  /**
   * All counters: of what the state applied last names, and of what has left it, until its last counts are saved. A slot of
   * counters that is needed for something new is taken from what has left first, saved or not.
   */
  counters(): Promise<CounterReport>;
  /**
   * What `counters` returned at some time is on the disk of the controller.
   * @param readAt when `counters` was called, in milliseconds of `performance.now()`
   */
  countersSaved(readAt: number): void;
  /** Counts of a few captures, by id: cheap beside `counters`. Of one that never was in a state there are none. */
  countsOf(ids: readonly string[]): ReadonlyMap<string, CaptureCounts>;
  /** The budgets of all devices by which copies leave, where the state applied last has `protect`. */
  deviceBudgets(): Promise<DeviceBudget[]>;
  /**
   * Sets budgets of devices, by ifindex, in bytes a second; 0: no limit. They stay in force until they are set again,
   * also while no agent runs. A device that no copies leave by is passed over.
   */
  setDeviceBudgets(rates: ReadonlyMap<number, number>): Promise<void>;
  /** The budget of the node. */
  nodeBudget(): Promise<NodeBudget>;
  /**
   * Sets the budget of the node in bytes a second; 0: no limit. It stays in force until it is set again, also while no
   * agent runs, or until a state without `protectCpu` is applied.
   */
  setNodeBudget(rate: number): Promise<void>;
  /** Lets go of file descriptors. The data plane goes on. */
  close(): void;
  /** Removes every link, pin, map and helper device of ours. */
  uninstall(): Promise<void>;
}
