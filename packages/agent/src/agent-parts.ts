/** What an agent is made of: `start.ts` makes the parts, `agent.ts` uses them. */

import type { EventRecorder } from './controller-link/event-outbox.ts';
import type { Datapath } from './datapath/datapath.ts';
import type { Announced } from './discovery/announce.ts';
import type { ForwardingTables } from './discovery/forwarding.ts';
import type { Identities } from './discovery/identities.ts';
import type { LinkSource } from './discovery/links.ts';
import type { NextHops } from './discovery/neighbours.ts';
import type { UnderlayState } from './discovery/underlay.ts';
import type { ProgramFile } from './host/program-file.ts';
import type { Logger } from './log.ts';
import type { DeviceStatistics } from './netlink/statistics.ts';
import type { Throttle } from './throttle/throttle.ts';

/** The parts. Those that may be left out narrow what the agent sees or does. */
export interface AgentParts {
  node: string;
  version: string;
  links: LinkSource;
  nextHops: NextHops;
  /** Left out: only aliases and declared edges tell which interface a device is. */
  identities?: Identities;
  /** Left out: firewalls on bridges are not seen through. */
  forwarding?: ForwardingTables;
  /** Addresses of the node itself, as they are now. */
  hostAddresses?: () => string[];
  /** Mbit/s of copies that the node may make; left out: no limit. */
  maxRate?: number;
  /** What a device has carried. Left out: where the guests of migrating interfaces are is what the controller says. */
  statistics?: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  /** Keeps copies within what service traffic leaves of a device; left out: no device has a budget. */
  throttle?: Pick<Throttle, 'throttled' | 'cpuThrottled' | 'unprotected' | 'budgets' | 'on'>;
  /** Whether a NIC may handle flows itself, by the name of its device. Left out: none does. */
  offloads?: (device: string) => boolean;
  /** Finds the underlay among the devices that `links` has now. */
  underlay: () => Promise<UnderlayState>;
  /** Tells the neighbours where the underlay address is. Left out: they find out by themselves. */
  announce?: (underlay: Announced) => void;
  datapath: Datapath;
  programs: ProgramFile;
  /** Where everything that happens is told. */
  events: EventRecorder;
  log: Logger;
}
