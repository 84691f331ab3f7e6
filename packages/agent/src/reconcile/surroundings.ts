/** What a node program is matched with, and what comes of it. */
import type { Capture, NodeProblem } from '@mirrorplane/contract';
import type { DatapathState } from '../datapath/datapath.ts';
import type { NodeDevice } from '../discovery/devices.ts';
import type { ForwardingEntry } from '../discovery/forwarding.ts';
import type { NextHop } from '../discovery/neighbours.ts';
import type { UnderlayState } from '../discovery/underlay.ts';
import type { Link } from '../netlink/link.ts';

/** What a node program is matched with. */
export interface Surroundings {
  devices: readonly NodeDevice[];
  underlay: UnderlayState;
  /** By ERSPAN address; an address that is absent has not been looked up yet. */
  nextHops: ReadonlyMap<string, NextHop>;
  /** All devices of the node, bridges among them; left out: unicast is captured at the devices of guests alone. */
  links?: readonly Link[];
  /** The bridges' forwarding tables. */
  forwarding?: readonly ForwardingEntry[];
  /** Addresses of the node itself. */
  hostAddresses?: readonly string[];
  /** Mbit/s of copies that the node may make. */
  maxRate?: number;
  /** ifindexes of devices where copies are throttled for service traffic; left out: none shall. */
  throttled?: ReadonlySet<number>;
  /** ifindexes of devices whose service traffic nothing protects from copies. */
  unprotected?: ReadonlySet<number>;
  /** Copies are throttled because packets are lost for lack of CPU; left out: CPUs are not followed. */
  cpuThrottled?: boolean | undefined;
}

/** A capture of the program with the device it is on. */
export interface PlacedCapture {
  capture: Capture;
  device: NodeDevice;
  /** ids of its entries in the data path: one, or two for direction `all`. Empty: the device cannot be mirrored. */
  hooks: string[];
}

/** What the data plane shall do, and what stands in the way. */
export interface Reconciled {
  state: DatapathState;
  placed: PlacedCapture[];
  /** ids of the captures whose interface has no device here. */
  waiting: string[];
  problems: NodeProblem[];
}
