/** The agent's loop: program and devices become the state of the data path. */
import type { AgentMessage, CaptureStatus, CounterReading, NodeProgram, ReportingMessage } from '@mirrorplane/contract';
import type { AgentParts } from './agent-parts.ts';
import { CurrentProgram } from './current-program.ts';
import { Announcer } from './discovery/announce.ts';
import { identify, type NodeDevices, ownership } from './discovery/devices.ts';
import { GuestMacs } from './discovery/guest-macs.ts';
import { haveOnlyStrangersCome } from './discovery/strangers.ts';
import { type UnderlayState, underlayEnd } from './discovery/underlay.ts';
import { type Logger, reason } from './log.ts';
import { LookNames } from './looks/look-names.ts';
import { type LookPlan, type LookWish, planLooks } from './looks/look-plan.ts';
import { LookRoom } from './looks/look-room.ts';
import { GuestWatch } from './migration/guest-watch.ts';
import { HandoverCounter } from './migration/handover-counter.ts';
import type { Link } from './netlink/link.ts';
import { PassEvents } from './pass-events.ts';
import { logApplied } from './pass-log.ts';
import { PassSchedule } from './pass-schedule.ts';
import { ProbeRoom } from './probes/probe-room.ts';
import { ProgramLink } from './program-link.ts';
import { captureStatuses } from './reconcile/problems.ts';
import { erspanAddresses, reconcile, senderAddresses } from './reconcile/reconcile.ts';
import type { Reconciled } from './reconcile/surroundings.ts';
import { type ControllerLink, Reporter } from './reporter.ts';

/** Milliseconds between two reports of counters, unless the controller asks for fewer. */
const COUNTER_INTERVAL_MS = 1000;

/** One agent. It works in passes: read devices and program, compute the state, apply it, report. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #log: Logger;
  readonly #guests: GuestWatch;
  readonly #guestMacs = new GuestMacs();
  readonly #handovers: HandoverCounter;
  readonly #passEvents: PassEvents;
  readonly #reporter: Reporter;
  readonly #announcer: Announcer;
  readonly #schedule = new PassSchedule(() => this.#tryPass());
  readonly #program: CurrentProgram;
  /** Takes programs of the controller, and what has changed of them. */
  readonly programs: ProgramLink;
  /** The looks of this node. */
  readonly looks: LookRoom;
  /** The probes of this node. */
  readonly probes: ProbeRoom;
  readonly lookNames = new LookNames();
  /** The devices in the last pass. */
  #present: readonly Link[] | undefined;
  #found: NodeDevices = { devices: [], problems: [] };
  #underlay: UnderlayState = { underlay: undefined, why: 'not looked up yet', asked: false };
  /** The half of the hooks that is asked next. */
  #half: 0 | 1 = 0;
  #appliedRevision: number | undefined;
  #captures: CaptureStatus[] = [];
  #counters: NodeJS.Timeout | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#log = parts.log;
    const statistics = parts.statistics ?? (async () => undefined);
    this.#handovers = new HandoverCounter({ datapath: parts.datapath, statistics });
    this.#guests = new GuestWatch({ statistics, arrived: () => this.#poke() });
    this.#passEvents = new PassEvents(parts.events);
    this.#announcer = new Announcer(parts.announce ?? (() => {}), parts.log);
    this.looks = new LookRoom({ ...parts, changed: () => this.#poke() });
    this.probes = new ProbeRoom(parts);
    this.#program = new CurrentProgram({ ...parts, changed: () => this.#poke() });
    this.programs = new ProgramLink({ program: this.#program, log: parts.log });
    this.#reporter = new Reporter({ ...parts, has: () => this.programs.greeting() });
  }

  /**
   * Applies the saved program of the previous run, if there is one, and begins to follow changes.
   */
  async start(): Promise<void> {
    const program = await this.#program.load();
    if (program !== undefined) {
      this.#passEvents.resume(program);
    }
    await this.#follow();
    this.#counters = setInterval(() => void this.#reporter.sendCounters(), COUNTER_INTERVAL_MS);
    this.#schedule.start(() => this.#isQuiet(), this.#parts.repairIntervalMs);
    this.#poke();
    await this.#schedule.settled();
  }

  /** Sets the controller link for reports. */
  connect(link: ControllerLink): void {
    this.#reporter.connect(link);
    this.programs.connect(link);
    this.#parts.events.connect(link);
    this.probes.connect(link);
  }

  /** The first messages on every connection. */
  greeting(): AgentMessage[] {
    return [...this.#reporter.greeting(), ...this.#parts.events.greeting()];
  }

  /** Accepts a program of the controller. It is saved first, and then carried out. */
  take(program: NodeProgram): void {
    this.programs.take(program);
  }

  /** The controller no longer has this node. The node stops copying. */
  dismiss(): void {
    this.#program.dismiss();
  }

  /**
   * The controller has saved counters. Counters of parts that have left the program need not be
   * kept any longer.
   */
  countersSaved(reading: CounterReading): void {
    this.#reporter.countersSaved(reading);
  }

  /** The controller says how to report on this connection. */
  report(reporting: ReportingMessage): void {
    this.#reporter.report(reporting);
  }

  /** Resolves when no pass is running or due. */
  async settled(): Promise<void> {
    await this.#program.settled();
    await this.#schedule.settled();
  }

  /** Milliseconds since the current pass began. 0 without a pass. */
  passingFor(): number {
    return this.#schedule.passingFor();
  }

  /** Stops following changes. The data plane continues. */
  async close(): Promise<void> {
    clearInterval(this.#counters);
    this.#program.close();
    this.#guests.close();
    await this.looks.close();
    await this.probes.close();
    await this.#schedule.close();
    await this.#parts.programs.settled();
  }

  /** Asks for a pass whenever something has changed that passes depend on. */
  async #follow(): Promise<void> {
    const { links, nextHops, forwarding, identities, throttle } = this.#parts;
    links.on('change', () => {
      const present = links.links();
      identities?.look(present);
      // A pass for a device of nobody would be under way when the next event says whose it is.
      if (haveOnlyStrangersCome(this.#present, present, (link) => (identities?.of(link) ?? []).length > 0)) {
        this.#schedule.requestSoon();
      } else {
        this.#poke();
      }
    });
    identities?.on('change', () => this.#poke());
    links.on('network', () => {
      this.#poke();
      this.#afterPass(() => nextHops.refresh());
    });
    // The next pass that looks finds what has changed without an event.
    links.on('regular', () => this.#afterPass(() => nextHops.refresh()));
    links.on('neighbour', (event) => nextHops.touched(event.ifindex, event.address));
    nextHops.on('change', () => this.#poke());
    throttle?.on('change', () => this.#poke());
    if (forwarding) {
      links.on('forwarding', () => this.#afterPass(() => forwarding.refresh()));
      forwarding.on('change', () => this.#poke());
      await forwarding.refresh();
    }
  }

  /**
   * Whether a pass would find everything as the last one has left it. Where guests move, and where
   * devices of WireGuard are needed, only a pass sees that.
   */
  #isQuiet(): boolean {
    const program = this.#program.inForce;
    if (program === undefined) {
      return true;
    }
    const { standby, handingOver, deliveries, terminations, revision } = program;
    const isMoving = standby.length + handingOver.length > 0;
    const isEncrypted = [...deliveries, ...terminations].some((part) => 'tunnel' in part && part.tunnel !== undefined);
    if (isMoving || isEncrypted || this.#appliedRevision !== revision) {
      return false;
    }
    try {
      this.#half = this.#half === 0 ? 1 : 0;
      return this.#parts.datapath.isIntact(this.#half);
    } catch {
      return false;
    }
  }

  /**
   * Reads of tables wait for a lock of the kernel, and with them this process. A pass that is due goes
   * first: it may be for a device that has just come.
   */
  #afterPass(read: () => Promise<void>): void {
    void this.#schedule.settled().then(read);
  }

  #poke(): void {
    this.#schedule.request();
  }

  async #tryPass(): Promise<void> {
    try {
      await this.#pass();
    } catch (error) {
      this.#log.error({ err: error }, 'pass failed');
      this.#schedule.retryLater();
    }
  }

  async #pass(): Promise<void> {
    const { links, nextHops, underlay, forwarding, hostAddresses, maxRate, maxHops, identities, throttle } =
      this.#parts;
    this.#underlay = this.#withKey(await underlay());
    this.#announcer.look(this.#underlay);
    const present = links.links();
    this.#present = present;
    const look = this.#schedule.takeLook(present);
    const claimsOf = (link: Link) => identities?.of(link) ?? [];
    const offloads = (link: Link) => this.#parts.offloads?.(link.name) ?? false;
    const program = this.#program.inForce;
    const edges = program?.edges ?? [];
    const found = identify(present, edges, ownership(this.#found.devices), claimsOf, offloads);
    const devices = this.#guestMacs.look(found.devices, { links: present, forwarding: forwarding?.current() });
    this.#found = {
      devices: await this.#guests.look(devices, program?.standby ?? []),
      problems: [...found.problems, ...(identities?.problems() ?? [])],
    };
    this.#reporter.found(this.#found.devices, this.#underlay);
    if (program === undefined) {
      this.#reporter.sendInventory();
      return;
    }
    // Nothing waits for ARP, because the kernel keeps copies until then. A neighbour that is
    // resolved or lost requests another pass.
    void nextHops.want(underlayEnd(this.#underlay), erspanAddresses(program), senderAddresses(program));
    const mtu = this.#underlay.underlay?.mtu;
    const tunnels = mtu === undefined ? undefined : await this.#parts.tunnels?.ensure(program, mtu);
    const around = {
      devices: this.#found.devices,
      ...(tunnels && { tunnels }),
      underlay: this.#underlay,
      nextHops: nextHops.current(),
      noWayBack: nextHops.noWayBack(),
      hostAddresses: hostAddresses?.() ?? [],
      ...(maxRate !== undefined && { maxRate }),
      ...(maxHops !== undefined && { maxHops }),
      ...(throttle && {
        throttled: throttle.throttled,
        cpuThrottled: throttle.cpuThrottled,
        unprotected: throttle.unprotected,
      }),
      ...(forwarding && { links: present, forwarding: forwarding.current() }),
    };
    // The data path is changed first, and reported afterwards.
    const reconciled = reconcile(program, around);
    const wishes = this.looks.wishes();
    const { looks, unseen } = planLooks(wishes, program, around);
    const state = { ...reconciled.state, ...(looks.length > 0 && { looks }) };
    // What a look sees first may be read before `apply` returns.
    this.lookNames.learn(looks, this.#found.devices, present);
    await this.#apply(program, { ...reconciled, state, unseen, wishes }, present, look);
    if (this.#appliedRevision === program.revision) {
      await this.#parts.tunnels?.retain(program);
    }
    this.#reporter.sendInventory();
    // Dismissed meanwhile: this program is no longer on the disk, and the next pass reports what is.
    const { newest = program } = this.#program;
    if (newest.revision >= program.revision) {
      this.#reporter.sendStatus();
    }
  }

  /** Adds the key for encrypted copies to the underlay. */
  #withKey(state: UnderlayState): UnderlayState {
    const { tunnels } = this.#parts;
    return state.underlay && tunnels ? { ...state, underlay: tunnels.addTo(state.underlay) } : state;
  }

  async #apply(
    program: NodeProgram,
    reconciled: Reconciled & Pick<LookPlan, 'unseen'> & { wishes: readonly LookWish[] },
    links: readonly Link[],
    look: boolean,
  ): Promise<void> {
    const problems = [...this.#found.problems, ...reconciled.problems, ...this.#program.problems()];
    try {
      const counted = this.#handovers.before(reconciled.placed, reconciled.state.captures);
      const result = await this.#parts.datapath.apply(reconciled.state, { look });
      this.probes.applied(reconciled.state.captures, result.refused);
      this.looks.applied([...reconciled.unseen, ...result.unseen], result.unheard, reconciled.wishes);
      const at = result.begunAt ?? performance.now();
      const handovers = await counted(result.refused);
      const known = { revision: this.#appliedRevision, captures: this.#captures };
      logApplied(this.#log, { program, reconciled, result, known });
      this.#captures = captureStatuses(reconciled, result.refused);
      const { placed } = reconciled;
      this.#passEvents.applied({ program, placed, statuses: this.#captures, result, links, at, handovers });
      problems.push(...result.problems);
      if (result.refused.length + result.problems.length > 0) {
        this.#schedule.retryLater();
      } else {
        this.#schedule.succeeded();
      }
      this.#appliedRevision = program.revision;
    } catch (error) {
      const message = reason(error);
      this.#log.error({ revision: program.revision, reason: message }, 'data path could not be changed');
      this.#passEvents.failed(program, message);
      problems.push({ code: 'ATTACH_FAILED', message });
      this.#schedule.retryLater();
    }
    this.#reporter.came({ revision: this.#appliedRevision, captures: this.#captures, problems });
  }
}
