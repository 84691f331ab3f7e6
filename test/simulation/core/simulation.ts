/** The simulation that is under way, for the edges that stand in for those of Node.js. */
import type { Clusters } from '../world/clusters.ts';
import type { Disk } from '../world/disk.ts';
import type { EtcdMembers } from '../world/etcd/members.ts';
import type { Network, Target } from '../world/network.ts';
import type { VirtualSocket } from '../world/socket.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** What the edges work with. */
export interface Simulation {
  readonly scheduler: Scheduler;
  /** What happens in the world. */
  readonly random: Random;
  /** What the product draws: secrets, identifiers, waits. */
  readonly draws: Random;
  readonly trace: Trace;
  /** The disk of the host of the current process. */
  disk(): Disk;
  readonly network: Network;
  /** Where several controllers run: their store, and what they are made of. */
  readonly etcd: EtcdMembers | undefined;
  readonly clusters: Clusters | undefined;
  /** The current process asks for a connection. */
  dial(socket: VirtualSocket, target: Target): void;
}

let active: Simulation | undefined;

/** Sets the simulation that the edges belong to. Undefined: they are those of Node.js. */
export function activate(simulation: Simulation | undefined): void {
  active = simulation;
}

/** The simulation, while a step of a process is under way. */
export function running(): Simulation | undefined {
  return active?.scheduler.current === undefined ? undefined : active;
}

/** The simulation. @throws Error if none is under way */
export function simulation(): Simulation {
  if (active === undefined) {
    throw new Error('no simulation is under way');
  }
  return active;
}
