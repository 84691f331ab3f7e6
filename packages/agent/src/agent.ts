/** The agent's loop: what the controller wants and what the node has become what the data path does. */
import { randomUUID } from 'node:crypto';
import { release } from 'node:os';
import { atMost, Coalesced } from '@mirrorplane/base';
import {
  type AgentMessage,
  type CaptureStatus,
  type CounterReading,
  captureOfHook,
  type Device,
  emptyProgram,
  type NodeProblem,
  type NodeProgram,
  type StatusMessage,
  SYNC_PROTOCOL,
} from '@mirrorplane/contract';
import type { EventRecorder } from './controller-link/event-outbox.ts';
import type { ApplyResult, Datapath } from './datapath/datapath.ts';
import type { Announced } from './discovery/announce.ts';
import { identify, isHelper, type NodeDevices, ownership } from './discovery/devices.ts';
import type { ForwardingTables } from './discovery/forwarding.ts';
import type { Identities } from './discovery/identities.ts';
import type { Link, LinkSource } from './discovery/links.ts';
import type { NextHops } from './discovery/neighbours.ts';
import type { UnderlayState } from './discovery/underlay.ts';
import type { ProgramFile } from './host/program-file.ts';
import { type Logger, reason, say } from './log.ts';
import { GuestWatch } from './migration/guest-watch.ts';
import { MoveCounter } from './migration/move-counter.ts';
import type { DeviceStatistics } from './netlink/statistics.ts';
import { PassEvents } from './pass-events.ts';
import { captureStatuses, erspanAddresses, type Reconciled, reconcile } from './reconcile/reconcile.ts';
import type { Protection } from './throttle/throttle.ts';

/** The part of the sync client that the agent uses. */
export interface Uplink {
  readonly connected: boolean;
  readonly congested: boolean;
  send(message: AgentMessage): void;
}

/** What an agent is made of. */
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
  protection?: Pick<Protection, 'held' | 'cpuHeld' | 'unprotected' | 'on'>;
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

/** Milliseconds between two reports of counters. */
const COUNTER_INTERVAL = 1000;
/** Milliseconds between two passes that nothing asked for: they repair what others broke. */
const REPAIR_INTERVAL = 500;
/** Milliseconds after a device was first told of in which it is likely to get what its capture needs. */
const ARRIVAL = 100;
/** Milliseconds that a program may take to be stored before it is carried out all the same. */
const SAVE_LIMIT = 1000;
/** Milliseconds that a starting agent may take to read the next hops that the kernel knows. */
const NEXT_HOP_LIMIT = 500;
/** Milliseconds before a data path that failed is tried again: doubles from the first to the second. */
const RETRY: [number, number] = [200, 10_000];

/** One agent. Everything it does is a pass: read what is there, work out the state, apply it, report. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #log: Logger;
  readonly #guests: GuestWatch;
  readonly #moves: MoveCounter;
  readonly #passEvents: PassEvents;
  #uplink: Uplink | undefined;
  #program: NodeProgram | undefined;
  /** The program that came last; it becomes `#program` when it is stored. */
  #newest: NodeProgram | undefined;
  #taking: Promise<void> = Promise.resolve();
  #found: NodeDevices = { devices: [], problems: [] };
  #underlay: UnderlayState = { underlay: undefined, why: 'not looked up yet', asked: false };
  #announced = '';
  #appliedRevision: number | undefined;
  #captures: CaptureStatus[] = [];
  #problems: NodeProblem[] = [];
  #sentInventory = '';
  #sentStatus = '';
  /** The next pass looks for what others did, too. */
  #look = true;
  /** The last look was put off. */
  #putOff = false;
  /** The helper devices, as the last pass saw them. */
  #helpers = '';
  readonly #passes = new Coalesced(() => this.#tryPass());
  /** When the pass under way began, on the monotonic clock. */
  #passBegan: number | undefined;
  #retryAfter = RETRY[0];
  #retry: NodeJS.Timeout | undefined;
  #timers: NodeJS.Timeout[] = [];
  #counting = false;
  readonly #run = randomUUID();
  #closed = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#log = parts.log;
    const statistics = parts.statistics ?? (async () => undefined);
    this.#moves = new MoveCounter({ datapath: parts.datapath, statistics });
    this.#guests = new GuestWatch({ statistics, arrived: () => this.#poke() });
    this.#passEvents = new PassEvents(parts.events);
  }

  /** Applies the program of the last run, if there is one, and begins to follow changes. */
  async start(): Promise<void> {
    const { programs, links, nextHops, forwarding, identities, protection } = this.#parts;
    try {
      const program = await programs.load();
      if (program !== undefined && this.#isOurs(program)) {
        this.#program = program;
        this.#passEvents.resume(program);
      }
    } catch (error) {
      this.#log.error(say('the stored program is not used', { reason: reason(error) }));
    }
    links.on('change', () => {
      identities?.look(links.links());
      this.#poke();
    });
    identities?.on('change', () => this.#poke());
    links.on('network', () => {
      void nextHops.refresh();
      this.#poke();
    });
    links.on('neighbour', (event) => nextHops.touched(event.ifindex, event.address));
    nextHops.on('change', () => this.#poke());
    protection?.on('change', () => this.#poke());
    if (forwarding) {
      links.on('forwarding', () => void forwarding.refresh());
      forwarding.on('change', () => this.#poke());
      await forwarding.refresh();
    }
    this.#timers = [
      setInterval(() => void this.#sendCounters(), COUNTER_INTERVAL),
      setInterval(() => {
        this.#look = true;
        this.#poke();
      }, REPAIR_INTERVAL),
    ];
    this.#poke();
    await this.#passes.settled();
  }

  /** Names the connection that reports go to. */
  connect(uplink: Uplink): void {
    this.#uplink = uplink;
    this.#parts.events.connect(uplink);
  }

  /** What the controller is told first on every connection. */
  greeting(): AgentMessage[] {
    const { node, version } = this.#parts;
    const { underlay } = this.#underlay;
    const hello: AgentMessage = {
      type: 'hello',
      protocol: SYNC_PROTOCOL,
      node,
      agentVersion: version,
      kernel: release(),
      hook: this.#parts.datapath.hookKind(),
    };
    if (underlay !== undefined) hello.underlay = underlay;
    if (this.#appliedRevision !== undefined) hello.appliedRevision = this.#appliedRevision;
    const inventory = this.#inventory();
    const status = this.#status();
    this.#sentInventory = JSON.stringify(inventory);
    this.#sentStatus = JSON.stringify(status);
    return [hello, inventory, ...(status === undefined ? [] : [status]), ...this.#parts.events.greeting()];
  }

  /**
   * Takes a program of the controller. It is kept for the next start first, and carried out then: an agent that is killed
   * in between would otherwise go back behind what it has reported.
   */
  take(program: NodeProgram): void {
    if (!this.#isOurs(program)) return;
    this.#newest = program;
    const saved = this.#parts.programs.save(program).catch((error: unknown) => {
      this.#log.error(say('the program could not be stored', { reason: reason(error) }));
    });
    // A disk that is full or stuck must not keep the node from mirroring.
    this.#taking = atMost(saved, SAVE_LIMIT).then(() => {
      if (this.#newest !== program) return;
      this.#program = program;
      this.#poke();
    });
  }

  /** The controller knows this node no more: it was deleted, or is another host now. Nothing is copied here any more. */
  dismiss(): void {
    const { node } = this.#parts;
    const current = this.#newest ?? this.#program;
    if (!current || current.captures.length + current.deliveries.length + current.terminations.length === 0) return;
    this.#log.warn(say('the node is not registered any more: all copying here ends', { node }));
    this.take(emptyProgram(node, current.revision + 1));
  }

  /** The controller has saved counters: those of what has left the program need not be kept for it any more. */
  countersSaved({ run, readAt }: CounterReading): void {
    // An answer to an agent that ran before says nothing about what this one has read.
    if (run === this.#run) this.#parts.datapath.countersSaved(readAt);
  }

  /** Resolves when no pass is under way or due. */
  async settled(): Promise<void> {
    await this.#taking;
    await this.#passes.settled();
  }

  /** Milliseconds that the pass under way has taken until now; 0 where none is. */
  passingFor(): number {
    return this.#passBegan === undefined ? 0 : performance.now() - this.#passBegan;
  }

  /** Stops following changes. The data plane goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const timer of this.#timers) clearInterval(timer);
    this.#guests.close();
    await this.#passes.close();
    await this.#parts.programs.settled();
  }

  #isOurs(program: NodeProgram): boolean {
    if (program.node === this.#parts.node) return true;
    this.#log.error(say('a program for another node is refused', { node: program.node }));
    return false;
  }

  /** Asks for a pass. However many ask while one is under way, one more follows. */
  #poke(): void {
    void this.#passes.request();
  }

  async #tryPass(): Promise<void> {
    this.#passBegan = performance.now();
    try {
      await this.#pass();
    } catch (error) {
      this.#log.error(say('pass failed', { reason: reason(error) }));
      this.#retryLater();
    } finally {
      this.#passBegan = undefined;
    }
  }

  async #pass(): Promise<void> {
    const { links, nextHops, underlay, forwarding, hostAddresses, maxRate, identities, protection } = this.#parts;
    this.#underlay = await underlay();
    this.#announce();
    const present = links.links();
    const look = this.#looks(present);
    const claimsOf = (link: Link) => identities?.of(link) ?? [];
    const offloads = (link: Link) => this.#parts.offloads?.(link.name) ?? false;
    const edges = this.#program?.edges ?? [];
    const found = identify(present, edges, ownership(this.#found.devices), claimsOf, offloads);
    this.#found = {
      devices: await this.#guests.look(found.devices, this.#program?.standby ?? []),
      problems: [...found.problems, ...(identities?.problems() ?? [])],
    };
    if (this.#program === undefined) {
      this.#sendInventory();
      return;
    }
    // Not waited for: a capture must not wait for ARP. When something is found, it asks for another pass. Save the first
    // time: what the kernel's neighbour table holds already must not be taken away from deliveries that are in force.
    const looked = nextHops.want(this.#port(), erspanAddresses(this.#program));
    if (this.#appliedRevision === undefined) await atMost(looked, NEXT_HOP_LIMIT);
    const around = {
      devices: this.#found.devices,
      underlay: this.#underlay,
      nextHops: nextHops.current(),
      hostAddresses: hostAddresses?.() ?? [],
      ...(maxRate !== undefined && { maxRate }),
      ...(protection && {
        held: protection.held,
        cpuHeld: protection.cpuHeld,
        unprotected: protection.unprotected,
      }),
      ...(forwarding && { links: present, forwarding: forwarding.current() }),
    };
    // Copying comes first, telling of it second.
    await this.#apply(this.#program, reconcile(this.#program, around), present, look);
    this.#sendInventory();
    this.#sendStatus();
  }

  /**
   * Whether this pass looks for what others did. Not the one that a device has asked for, nor one while a device is being
   * made: looking waits for the lock that whoever makes the device holds, and nothing is captured meanwhile.
   */
  #looks(links: readonly Link[]): boolean {
    const helpers = JSON.stringify(links.filter(isHelper));
    const now = performance.now();
    const arriving = links.some(({ seenAt }) => seenAt !== undefined && now - seenAt < ARRIVAL);
    // Put off to the next turn of the timer, and not twice: devices may come all the time.
    if (this.#look) this.#putOff = arriving && !this.#putOff;
    const look = (this.#look && !this.#putOff) || helpers !== this.#helpers;
    this.#look = false;
    this.#helpers = helpers;
    return look;
  }

  /** After every change of the underlay that its neighbours have to know of. */
  #announce(): void {
    const port = this.#port();
    const up = this.#underlay.underlay !== undefined && this.#underlay.up;
    const now = port === undefined || !up ? '' : [port.ifindex, port.mac, port.address].join();
    if (now === this.#announced) return;
    this.#announced = now;
    if (port === undefined || now === '') return;
    try {
      this.#parts.announce?.(port);
    } catch (error) {
      this.#log.warn(say('underlay could not be announced', { device: port.device, reason: reason(error) }));
    }
  }

  async #apply(program: NodeProgram, reconciled: Reconciled, links: readonly Link[], look: boolean): Promise<void> {
    const problems = [...this.#found.problems, ...reconciled.problems];
    try {
      const counted = this.#moves.before(reconciled.placed, reconciled.state.captures);
      const result = await this.#parts.datapath.apply(reconciled.state, { look });
      const at = result.begunAt ?? performance.now();
      const moves = await counted();
      this.#report(program, reconciled, result);
      this.#captures = captureStatuses(reconciled, result.refused);
      const { placed } = reconciled;
      this.#passEvents.applied({ program, placed, statuses: this.#captures, result, links, at, moves });
      this.#problems = [...problems, ...result.problems];
      if (result.refused.length + result.problems.length > 0) this.#retryLater();
      else this.#retryAfter = RETRY[0];
      this.#appliedRevision = program.revision;
    } catch (error) {
      const message = reason(error);
      this.#log.error(say('data path could not be changed', { revision: program.revision, reason: message }));
      this.#passEvents.failed(program, message);
      this.#problems = [...problems, { code: 'ATTACH_FAILED', message }];
      this.#retryLater();
    }
  }

  #report(program: NodeProgram, { state, waiting }: Reconciled, result: ApplyResult): void {
    const { attached, detached, written, refused, repaired } = result;
    for (const { id, ifindex, code, message } of refused) {
      // Told once, not with every attempt.
      if (this.#captures.some((status) => captureOfHook(id) === status.capture && status.message === message)) continue;
      this.#log.warn(say('capture refused', { capture: id, ifindex, code, reason: message }));
    }
    const changed = attached + detached + written + repaired.length > 0 || this.#appliedRevision !== program.revision;
    this.#log[changed ? 'info' : 'debug'](
      say('program applied', {
        revision: program.revision,
        captures: state.captures.length,
        waiting: waiting.length,
        attached,
        detached,
        written,
        refused: refused.length,
        repaired: repaired.reduce((sum, { count }) => sum + count, 0),
      }),
    );
  }

  #retryLater(): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#look = true;
      this.#poke();
    }, this.#retryAfter);
    this.#retryAfter = Math.min(this.#retryAfter * 2, RETRY[1]);
  }

  #port() {
    const found = this.#underlay;
    if (found.underlay === undefined) return undefined;
    const { device, address } = found.underlay;
    return { device, address, ifindex: found.ifindex, mac: found.mac };
  }

  #inventory(): AgentMessage {
    const { underlay } = this.#underlay;
    const devices = this.#found.devices.map(({ ethernet: _, reversed: __, ...device }): Device => device);
    return { type: 'inventory', ...(underlay === undefined ? {} : { underlay }), devices };
  }

  /** Undefined until there is a program: nothing has been carried out. */
  #status(): StatusMessage | undefined {
    if (this.#program === undefined) return undefined;
    return {
      type: 'status',
      appliedRevision: this.#appliedRevision ?? 0,
      captures: this.#captures,
      problems: this.#problems,
    };
  }

  #sendInventory(): void {
    const message = this.#inventory();
    const text = JSON.stringify(message);
    if (text === this.#sentInventory || !this.#uplink?.connected) return;
    this.#sentInventory = text;
    this.#uplink.send(message);
  }

  #sendStatus(): void {
    const message = this.#status();
    const text = JSON.stringify(message);
    if (message === undefined || text === this.#sentStatus || !this.#uplink?.connected) return;
    this.#sentStatus = text;
    this.#uplink.send(message);
  }

  async #sendCounters(): Promise<void> {
    if (!this.#uplink?.connected || this.#uplink.congested || this.#counting || this.#appliedRevision === undefined) {
      return;
    }
    this.#counting = true;
    try {
      const reading = { run: this.#run, readAt: performance.now() };
      const report = await this.#parts.datapath.counters();
      this.#uplink?.send({ type: 'counters', reading, report });
    } catch (error) {
      this.#log.warn(say('counters could not be read', { reason: reason(error) }));
    } finally {
      this.#counting = false;
    }
  }
}
