/** The simulated cluster: hosts with agents, controllers, their store, and the network between them. */
import type { Controller, ControllerOptions, StoreEvent } from '@mirrorplane/controller/testing/control';
import { Process } from '../core/process.ts';
import { Random } from '../core/random.ts';
import { Scheduler } from '../core/scheduler.ts';
import { hasSeveral } from '../core/several.ts';
import type { Simulation } from '../core/simulation.ts';
import { Trace } from '../core/trace.ts';
import { runAgent } from './agent-process.ts';
import { type Answer, isOfStore } from './api-answer.ts';
import { Clusters } from './clusters.ts';
import { ControllerHost } from './controller-host.ts';
import { lead, type RunningController, runController } from './controller-process.ts';
import { Disk } from './disk.ts';
import { Host } from './host.ts';
import { simulatedLog } from './log.ts';
import { MemoryStore } from './memory-store.ts';
import { Network, type Target } from './network.ts';
import { remoteStore } from './remote-store.ts';
import type { VirtualSocket } from './socket.ts';

/** Where the controller runs, if there is one alone. */
export const CONTROLLER = 'controller';
/** Share of the schedules in which the disk of a node lies about what it has synced. */
const LYING = 0.1;
const PORT_IN_USE = 'EADDRINUSE: address already in use';
/** Share of the nodes whose disk is slow. */
const SLOW_DISKS = 0.2;
/** Milliseconds after which a process that has given up is started again. */
const RESTART_MS = 1000;
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
  /** Called with each answer of the API. */
  answered: (answer: Answer) => void = () => {};
  /** Where controllers run. */
  readonly controllers: readonly ControllerHost[];
  /** Where there are several controllers. */
  readonly clusters: Clusters | undefined;
  readonly #storeDelay: number;
  readonly #disks = new Map<Process, Disk>();
  readonly #told = new Map<Host, () => void>();

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
    const disk = new Disk(random, scheduler);
    const clock = () => ({ rate: random.between(0.999, 1.001), offset: BEGIN + random.between(-2000, 2000) });
    const first = new ControllerHost(CONTROLLER, disk, clock());
    const count = 2 + random.below(3);
    this.hosts = Array.from({ length: count }, (_, at) => new Host(at + 1, { random, scheduler, clock: clock() }));
    for (const host of this.hosts) {
      host.on('devices', () => this.#told.get(host)?.());
    }
    // What a schedule of one controller draws is the same as if there never were several.
    const own = new Random(seed, 6);
    this.clusters = hasSeveral(seed) ? this.#several(own) : undefined;
    this.controllers = this.clusters
      ? Array.from({ length: 2 + own.below(2) }, (_, at) => {
          return new ControllerHost(`${CONTROLLER}-${at + 1}`, new Disk(random, scheduler), clock());
        })
      : [first];
    const faulty = new Random(seed, 7);
    if (faulty.chance(LYING)) {
      faulty.pick(this.hosts)!.disk.lies = true;
    }
    const slow = new Random(seed, 8);
    for (const { disk } of this.hosts) {
      disk.slowness = slow.chance(SLOW_DISKS) ? slow.pick([30, 100])! : disk.slowness;
    }
    for (const host of this.clusters ? this.hosts : []) {
      host.controllers = own.some(
        this.controllers.map(({ name }) => name),
        this.controllers.length,
      );
      this.#watchTerms(host);
    }
  }

  /** The store of several controllers. */
  get etcd() {
    return this.clusters?.etcd;
  }

  /** The controller, if it runs. Of several, the one that leads. */
  get controller(): RunningController | undefined {
    return this.#leading?.running;
  }

  get controllerProcess(): Process | undefined {
    return this.#leading?.process;
  }

  /** Controllers that answer: also one that has led, and does not know yet that it does not lead any more. */
  get answering(): { process: Process; running: RunningController }[] {
    return this.controllers.flatMap(({ process, running }) => (process && running ? [{ process, running }] : []));
  }

  get #leading(): ControllerHost | undefined {
    const { clusters } = this;
    return clusters ? this.controllers.find(({ last }) => last && last === clusters.leader) : this.controllers[0];
  }

  disk(): Disk {
    return this.#disks.get(this.scheduler.current!)!;
  }

  dial(socket: VirtualSocket, target: Target): void {
    this.network.dial(socket, socket.owner.name, target);
  }

  /** Calls back with each change of the store. */
  async follow(take: (events: StoreEvent[]) => void): Promise<void> {
    if (this.clusters) {
      this.clusters.follow(take);
    } else {
      await this.data.handle().watch('', 1, { onBatch: take, onEnd: () => {} });
    }
  }

  note(who: string, text: string): void {
    this.trace.add(this.scheduler.now, who, () => text);
  }

  host(name: string): Host | undefined {
    return this.hosts.find((host) => host.name === name);
  }

  /** Starts all controllers that do not run, on what their disks and the store have. */
  startController(): void {
    for (const host of this.controllers) {
      this.startControllerOf(host);
    }
  }

  startControllerOf(host: ControllerHost): void {
    if (host.process) {
      return;
    }
    const process = this.#begin(host.name, host.clock, host.disk);
    Object.assign(host, { last: process, current: undefined, clustered: undefined, store: undefined });
    this.scheduler.after(0, process, () => {
      void (this.clusters ? this.#startClustered(host) : this.#startAlone(host)).catch(this.#failed);
    });
  }

  async #startAlone(host: ControllerHost): Promise<void> {
    const { scheduler, random, data } = this;
    const store = remoteStore({ data, process: host.last!, scheduler, random, delay: this.#storeDelay });
    host.store = store;
    this.#takesConnections(host, await runController({ store, log: this.#log(host) }));
  }

  async #startClustered(host: ControllerHost): Promise<void> {
    this.note(host.name, 'starts');
    const process = host.last!;
    const failed = (error: Error) => this.#gaveUp(host, process, error);
    host.clustered = await this.clusters!.start(host.name, { log: this.#log(host), failed });
  }

  /** A process has said that it cannot go on: it ends, and is started again. */
  #gaveUp(host: ControllerHost, process: Process, error: Error): void {
    const { scheduler } = this;
    this.note(host.name, `gives up: ${error.message}`);
    scheduler.after(0, undefined, () => {
      if (host.process === process) {
        this.killControllerOf(host, false);
        scheduler.after(RESTART_MS, undefined, () => this.startControllerOf(host));
      }
    });
  }

  #takesConnections(host: ControllerHost, running: RunningController): void {
    host.current = running;
    const offered = (offer: Parameters<RunningController['offered']>[0]) => running.offered(offer);
    host.listener = { process: host.last!, host: host.name, offered };
    this.network.listen(host.listener);
    this.note(host.name, 'takes connections');
  }

  /** Ends a controller in order, and its process then. */
  stopControllerOf(host: ControllerHost): void {
    const { process, clustered } = host;
    if (process && clustered) {
      this.note(host.name, 'is stopped');
      this.scheduler.after(0, process, () => {
        if (host.listener) {
          this.network.unlisten(host.listener);
        }
        host.current = undefined;
        void clustered.close().then(() => this.scheduler.after(0, undefined, () => this.#endOf(host, process)));
      });
    }
  }

  /** It has ended by itself, and its service manager starts it again soon, if nobody has before. */
  #endOf(host: ControllerHost, process: Process): void {
    if (host.process === process) {
      this.killControllerOf(host, false);
      this.scheduler.after(RESTART_MS, undefined, () => this.startControllerOf(host));
    }
  }

  killController(power: boolean): void {
    this.killControllerOf(this.controllers[0]!, power);
  }

  /** Kills a controller. @param power its host loses its power with it */
  killControllerOf(host: ControllerHost, power: boolean): void {
    const { process } = host;
    if (process) {
      this.note(host.name, power ? 'its host loses its power' : 'is killed');
      this.#end(process, host.name, power);
      void host.store?.close();
      if (power) {
        host.disk.losePower();
        this.network.hostUp(host.name);
      }
    }
  }

  /** What several controllers share, and what runs where one leads. */
  #several(own: Random): Clusters {
    const { scheduler, random, network } = this;
    network.delay = own.pick([0.3, 3, 10])!;
    const clusters = new Clusters({
      ...{ scheduler, random, network },
      failed: (text) => this.#fail(text),
      lead: (options) => this.#lead(options),
    });
    clusters.etcd.delay = own.pick([0.5, 5, 40])!;
    return clusters;
  }

  async #lead(options: ControllerOptions): Promise<Controller> {
    const host = this.controllers.find(({ last }) => last === this.scheduler.current)!;
    if (host.failsToLead) {
      host.failsToLead = false;
      throw new Error(PORT_IN_USE);
    }
    return lead(options, this.#log(host), (running) => this.#takesConnections(host, running));
  }

  /** Terms at an agent never go down, and no leader is obeyed after a later one. */
  #watchTerms(host: Host): void {
    let run: { agent: Process | undefined; term: number; obeyed: number } = { agent: undefined, term: 0, obeyed: 0 };
    host.obeys = () => {
      const { agent } = host;
      const [term, spoken] = [host.term(), this.clusters!.termOf(this.network.speaking) ?? 0];
      run = run.agent === agent ? run : { agent, term: 0, obeyed: 0 };
      if (term < run.term) {
        this.#fail(`${host.name} knows term ${term}, and has known ${run.term}`);
      }
      if (spoken < Math.max(term, run.obeyed)) {
        this.#fail(`${host.name} obeys the leader of term ${spoken}, and knows ${Math.max(term, run.obeyed)}`);
      }
      run = { agent, term, obeyed: spoken };
    };
  }

  /** Sets the clock of a host. @param name of a node, or of a controller */
  setClock(name: string, by: number): void {
    const clock = (this.host(name) ?? this.controllers.find((one) => one.name === name))!.clock;
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
    host.mayBeBack = host.untold || host.disk.lies;
    this.scheduler.after(0, process, () => {
      this.note(host.name, 'its agent starts');
      runAgent(host, this.#log(host)).then((devicesChanged) => {
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

  /** The disk of a host takes no more, or takes something again. */
  fillDisk(host: Host, isFull: boolean): void {
    this.note(host.name, isFull ? 'its disk is full' : 'its disk has room again');
    host.disk.isFull = isFull;
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

  #log({ name, disk }: { name: string; disk: Disk }) {
    const { scheduler, trace } = this;
    return simulatedLog(name, {
      ...{ scheduler, trace },
      isExpected: (line) => isOfDisk(line, disk) || (this.clusters !== undefined && isOfNoLeader(line)),
      failed: (text) => this.#fail(text),
    });
  }

  readonly #failed = (error: unknown) => this.#fail(String((error as Error).stack ?? error));

  #fail(text: string): void {
    this.failures.push(text);
  }
}

/** What a controller says that does not lead any more, or whose store does not answer, and an agent that it meets. */
function isOfNoLeader({ message, error }: { message: string; error: Error | undefined }): boolean {
  return (
    isOfStore(error) || error?.message === PORT_IN_USE || message.includes('a controller was refused that does not')
  );
}

/** What is said of a disk that was full, and of a file of a disk that lies: it was synced, and is lost or torn. */
function isOfDisk({ error }: { error: Error | undefined }, disk: Disk): boolean {
  const text = String(error);
  const isTorn = /is not a program of this version|^SyntaxError: .*JSON/.test(text);
  return (disk.wasFull && text.includes('ENOSPC')) || (disk.lies && isTorn);
}
