/** The inputs and outputs of `reconcile`. */
import type { Capture, NodeProblem } from '@mirrorplane/contract';
import type { DatapathState } from '../datapath/datapath.ts';
import type { NodeDevice } from '../discovery/devices.ts';
import type { ForwardingEntry } from '../discovery/forwarding.ts';
import type { NextHop } from '../discovery/neighbours.ts';
import type { UnderlayState } from '../discovery/underlay.ts';
import type { Link } from '../netlink/link.ts';
import type { TunnelState } from '../underlay/tunnels.ts';

/** Everything that `reconcile` needs in addition to the program. */
export interface Surroundings {
  devices: readonly NodeDevice[];
  underlay: UnderlayState;
  /** By ERSPAN address. An absent address has not been looked up yet. */
  nextHops: ReadonlyMap<string, NextHop>;
  /** WireGuard devices by own public key. Left out: there are none. */
  tunnels?: ReadonlyMap<string, TunnelState>;
  /** Addresses of senders that no route by the mirror device leads to. Left out: not known. */
  noWayBack?: ReadonlySet<string>;
  /** The most routers between two nodes. Left out: not known. */
  maxHops?: number;
  /**
   * All devices of the node, including bridges. Left out: unicast is captured only at the devices
   * of guests.
   */
  links?: readonly Link[];
  /** The bridges' forwarding tables. */
  forwarding?: readonly ForwardingEntry[];
  /** Addresses of the node itself. */
  hostAddresses?: readonly string[];
  /** Limit of the node's copies, Mbit/s. */
  maxRate?: number;
  /** ifindexes of devices where copies are throttled for service traffic. Left out: none. */
  throttled?: ReadonlySet<number>;
  /** ifindexes of devices with unprotected service traffic. */
  unprotected?: ReadonlySet<number>;
  /**
   * Copies are throttled because packets are lost for lack of CPU time. Left out: CPUs are not
   * followed.
   */
  cpuThrottled?: boolean | undefined;
}

/** A capture of the program with its device. */
export interface PlacedCapture {
  capture: Capture;
  device: NodeDevice;
  /**
   * ids of its entries in the data path: one, or two for direction `all`. Empty if the device
   * cannot be mirrored.
   */
  hooks: string[];
}

/** The desired state of the data plane, and problems. */
export interface Reconciled {
  state: DatapathState;
  placed: PlacedCapture[];
  /** ids of captures of interfaces without a device here. */
  waiting: string[];
  problems: NodeProblem[];
}
