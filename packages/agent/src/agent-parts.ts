/** The parts of an agent: `start.ts` makes them, `agent.ts` uses them. */

import type { PolicyPart } from '@mirrorplane/contract';
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
import type { TrafficReader } from './traffic-reader.ts';
import type { Tunnels } from './underlay/tunnels.ts';

/** The parts. Without an optional part, the agent sees or does less. */
export interface AgentParts {
  node: string;
  version: string;
  links: LinkSource;
  nextHops: Pick<NextHops, 'want' | 'current' | 'noWayBack' | 'refresh' | 'touched'> & {
    on(event: 'change', listener: () => void): unknown;
  };
  /** Left out: only aliases and declared edges give devices an identity. */
  identities?: Identities;
  /** Left out: unicast that a firewall on a bridge drops is not captured. */
  forwarding?: ForwardingTables;
  /** The current addresses of the node itself. */
  hostAddresses?: () => string[];
  /** Mbit/s of copies that the node may make; left out: no limit. */
  maxRate?: number;
  /** The most routers between two nodes; left out: not known, and not checked. */
  maxHops?: number;
  /**
   * Statistics of a device. Left out: during migrations, only the controller says where a guest is.
   */
  statistics?: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  /**
   * Keeps copies within what service traffic leaves of a device. Left out: no device has a budget.
   */
  throttle?: Pick<Throttle, 'throttled' | 'cpuThrottled' | 'unprotected' | 'budgets' | 'on'>;
  /** Reads what devices carry. Left out: rates of interfaces are not known. */
  traffic?: TrafficReader;
  /** Whether a NIC may offload flows, by the name of its device. Left out: no NIC does. */
  offloads?: (device: string) => boolean;
  /** WireGuard devices of encrypted copies. Left out: this node cannot encrypt. */
  tunnels?: Pick<Tunnels, 'addTo' | 'ensure' | 'retain'>;
  /** Finds the underlay among the current devices of `links`. */
  underlay: () => Promise<UnderlayState>;
  /**
   * Announces the underlay address to the neighbours. Left out: no announcement; neighbours ask by
   * ARP.
   */
  announce?: (underlay: Announced) => void;
  datapath: Datapath;
  programs: Pick<ProgramFile, 'load' | 'save' | 'settled'>;
  /** Gives equal parts of programs as one object, where several agents are in one process. Left out: none are. */
  sharePart?: (part: PolicyPart) => PolicyPart;
  /** Records the events of the agent. */
  events: EventRecorder;
  log: Logger;
  /** Milliseconds between checks for interference. Default 400. */
  repairIntervalMs?: number;
}
