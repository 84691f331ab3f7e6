/** The simulated cluster: hosts with agents, one controller, its store, and the network between them. */
import type { Store } from '@mirrorplane/controller/testing/control';
import { Process } from '../core/process.ts';
import { Random } from '../core/random.ts';
import { Scheduler } from '../core/scheduler.ts';
import type { Simulation } from '../core/simulation.ts';
import { Trace } from '../core/trace.ts';
import { runAgent } from './agent-process.ts';
import { type RunningController, runController } from './controller-process.ts';
import { Disk } from './disk.ts';
import { Host } from './host.ts';
import { simulatedLog } from './log.ts';
import { MemoryStore } from './memory-store.ts';
import { Network } from './network.ts';
import { remoteStore } from './remote-store.ts';
import type { VirtualSocket } from './socket.ts';

/** Where the controller runs. */
export const CONTROLLER = 'controller';
/** Milliseconds since 1970 at the start of a schedule. */
const BEGIN = Date.UTC(2030, 0);

export interface WorldOptions {
  seed: number;
  /** Lines of the trace that are kept; 0: none. */
  traceLines: number;
}

export class World implements Simulation {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly draws: Random;
  readonly network: Network;
  readonly trace: Trace;
  readonly data: MemoryStore;
  readonly hosts: readonly Host[];
  /** What has gone wrong, as a step of the product has said it. */
  readonly failures: string[] = [];
  readonly #controllerDisk: Disk;
  readonly #controllerClock: { rate: number; offset: number };
  readonly #storeDelay: number;
  readonly #disks = new Map<Process, Disk>();
  readonly #told = new Map<Host, () => void>();
  #controllerProcess: Process | undefined;
  #controller: RunningController | undefined;
  #stores: Store | undefined;

  constructor({ seed, traceLines }: WorldOptions) {
    this.random = new Random(seed);
    this.draws = new Random(seed, 1);
    this.trace = new Trace(traceLines);
    const { scheduler, random } = this;
    this.network = new Network(scheduler, random);
    this.network.delay = random.pick([0.3, 3, 30, 200])!;
    this.#storeDelay = random.chance(0.5) ? 0 : random.pick([2, 40])!;
    this.data = new MemoryStore({
      keepRevisions: random.pick([8, 256])!,
      later: (run) => run(),
      clock: () => scheduler.now,
    });
    this.#controllerDisk = new Disk(random, scheduler);
    const clock = () => ({ rate: random.between(0.999, 1.001), offset: BEGIN + random.between(-2000, 2000) });
    this.#controllerClock = clock();
    const count = 2 + random.below(3);
    this.hosts = Array.from({ length: count }, (_, at) => new Host(at + 1, { random, scheduler, clock: clock() }));
    for (const host of this.hosts) {
      host.on('devices', () => this.#told.get(host)?.());
    }
  }

  /** The controller, if it runs. */
  get controller(): RunningController | undefined {
    return this.#controllerProcess?.alive ? this.#controller : undefined;
  }

  get controllerProcess(): Process | undefined {
    return this.#controllerProcess?.alive ? this.#controllerProcess : undefined;
  }

  disk(): Disk {
    return this.#disks.get(this.scheduler.current!)!;
  }

  dial(socket: VirtualSocket, certificate: string): void {
    this.network.dial(socket, socket.owner.name, certificate);
  }

  note(who: string, text: string): void {
    this.trace.add(this.scheduler.now, who, () => text);
  }

  host(name: string): Host | undefined {
    return this.hosts.find((host) => host.name === name);
  }

  /** Starts the controller on what its disk and the store have. */
  startController(): void {
    if (this.#controllerProcess?.alive) {
      return;
    }
    const { scheduler, random } = this;
    const process = this.#begin(CONTROLLER, this.#controllerClock, this.#controllerDisk);
    this.#controllerProcess = process;
    this.#controller = undefined;
    const parts = { data: this.data, process, scheduler, random, delay: this.#storeDelay };
    scheduler.after(0, process, () => {
      const store = remoteStore(parts);
      this.#stores = store;
      runController(store, this.#log(CONTROLLER)).then((running) => {
        this.#controller = running;
        this.network.listener = { process, host: CONTROLLER, offered: (offer) => running.offered(offer) };
        this.note(CONTROLLER, 'takes connections');
      }, this.#failed);
    });
  }

  /** Kills the controller. @param power its host loses its power with it */
  killController(power: boolean): void {
    const process = this.#controllerProcess;
    if (process?.alive) {
      this.note(CONTROLLER, power ? 'its host loses its power' : 'is killed');
      this.#end(process, CONTROLLER, power);
      void this.#stores?.close();
      if (power) {
        this.#controllerDisk.losePower();
        this.network.hostUp(CONTROLLER);
      }
    }
  }

  /** Sets the clock of a host. @param name of a node, or the controller */
  setClock(name: string, by: number): void {
    const clock = this.host(name)?.clock ?? this.#controllerClock;
    clock.offset += by;
    this.note(name, `its clock is set by ${Math.round(by)} ms`);
  }

  /** Starts the agent of a host. */
  startAgent(host: Host): void {
    if (host.agent?.alive || !host.powered || !host.membership) {
      return;
    }
    const process = this.#begin(host.name, host.clock, host.disk);
    host.agent = process;
    this.scheduler.after(0, process, () => {
      this.note(host.name, 'its agent starts');
      runAgent(host, this.#log(host.name)).then((devicesChanged) => {
        this.#told.set(host, () => this.scheduler.after(0, process, devicesChanged));
        devicesChanged();
      }, this.#failed);
    });
  }

  killAgent(host: Host): void {
    if (host.agent?.alive) {
      this.note(host.name, 'its agent is killed');
      this.#end(host.agent, host.name, false);
      host.agent = undefined;
      this.#told.delete(host);
    }
  }

  /** A host loses its power: its kernel, and what was not synced. */
  async losePower(host: Host): Promise<void> {
    this.note(host.name, 'loses its power');
    if (host.agent?.alive) {
      this.#end(host.agent, host.name, true);
    }
    host.agent = undefined;
    host.powered = false;
    this.#told.delete(host);
    host.disk.losePower();
    await host.kernel.reboot();
  }

  powerUp(host: Host): void {
    if (!host.powered) {
      this.note(host.name, 'has power again');
      host.powered = true;
      this.network.hostUp(host.name);
    }
  }

  /** A process does nothing for a while. */
  stall(process: Process, ms: number): void {
    this.note(process.name, `gets no CPU for ${Math.round(ms)} ms`);
    process.stalledUntil = this.scheduler.now + ms;
  }

  #begin(name: string, clock: { rate: number; offset: number }, disk: Disk): Process {
    const process = new Process(name, clock, this.scheduler.now);
    this.#disks.set(process, disk);
    return process;
  }

  #end(process: Process, host: string, power: boolean): void {
    process.alive = false;
    this.#disks.delete(process);
    if (power) {
      this.network.hostDown(host);
    } else {
      this.network.processEnded(process);
    }
  }

  #log(who: string) {
    return simulatedLog(who, { scheduler: this.scheduler, trace: this.trace, failed: (text) => this.#fail(text) });
  }

  readonly #failed = (error: unknown) => this.#fail(String((error as Error).stack ?? error));

  #fail(text: string): void {
    this.failures.push(text);
  }
}
