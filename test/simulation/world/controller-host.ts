/** A host of a controller: what outlives its process. */
import type { Clustered } from '@mirrorplane/controller/testing/control';
import type { Process } from '../core/process.ts';
import type { RunningController } from './controller-process.ts';
import type { Disk } from './disk.ts';
import type { Listener } from './network.ts';
import type { RemoteStore } from './remote-store.ts';

export class ControllerHost {
  readonly name: string;
  readonly disk: Disk;
  /** How far its clock is wrong. */
  readonly clock: { rate: number; offset: number };
  /** Its last process, alive or not. */
  last: Process | undefined;
  /** What its process runs that takes connections of agents. */
  current: RunningController | undefined;
  /** Where several controllers run: the process as a whole. */
  clustered: Clustered | undefined;
  listener: Listener | undefined;
  /** Its next start as a leader fails, as where a port is in use. */
  failsToLead = false;
  store: RemoteStore | undefined;

  constructor(name: string, disk: Disk, clock: ControllerHost['clock']) {
    this.name = name;
    this.disk = disk;
    this.clock = clock;
  }

  /** Its process, if it is alive. */
  get process(): Process | undefined {
    return this.last?.alive ? this.last : undefined;
  }

  /** The controller that it runs. Of several, only one that has led runs one. */
  get running(): RunningController | undefined {
    return this.last?.alive ? this.current : undefined;
  }
}
