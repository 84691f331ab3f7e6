/** What the agent reports of this node: its devices, the outcome of the program, counters. */
import { randomUUID } from 'node:crypto';
import { release } from 'node:os';
import {
  type AgentMessage,
  type CaptureStatus,
  type CounterReading,
  CounterWriter,
  type Device,
  type DeviceBudget,
  type Hello,
  MAX_BUDGETS,
  MAX_CAPTURE_STATUSES,
  MAX_DEVICES,
  type NodeProblem,
  type ReportingMessage,
  type StatusMessage,
  SYNC_PROTOCOL,
  type TrafficReport,
} from '@mirrorplane/contract';
import type { Datapath } from './datapath/datapath.ts';
import type { NodeDevice } from './discovery/devices.ts';
import type { UnderlayState } from './discovery/underlay.ts';
import type { Logger } from './log.ts';
import { ToldCounters } from './told-counters.ts';
import { ToldRows } from './told-rows.ts';
import type { TrafficReader } from './traffic-reader.ts';

/** Milliseconds by which a timer of a second may come early. */
const EARLY_MS = 500;

/** The part of the sync client that the agent needs. */
export interface ControllerLink {
  readonly connected: boolean;
  /** Sent data waits in the socket, so messages that can wait are not sent. */
  readonly congested: boolean;
  send(message: AgentMessage): void;
}

export interface ReporterParts {
  node: string;
  version: string;
  datapath: Pick<Datapath, 'hookKind' | 'counters' | 'countersSaved'>;
  /** What a hello says of programs. */
  has: () => Pick<Hello, 'takesDifferences' | 'program'>;
  /** Left out: no device has a budget. */
  throttle?: { readonly budgets: readonly DeviceBudget[] };
  /** Left out: what devices carry is not reported. */
  traffic?: TrafficReader;
  log: Logger;
}

/** The outcome of the newest program. */
export interface Outcome {
  /** Revision of the program in the kernel. Undefined: none yet. */
  revision: number | undefined;
  captures: readonly CaptureStatus[];
  problems: readonly NodeProblem[];
}

/**
 * Sends reports that have changed since they were last sent, and all of them on every connection.
 */
export class Reporter {
  readonly #parts: ReporterParts;
  #link: ControllerLink | undefined;
  #underlay: UnderlayState | undefined;
  #devices: readonly NodeDevice[] = [];
  /** Undefined until a program has been carried out. */
  #outcome: Outcome | undefined;
  /** What was told on this connection. */
  readonly #told = {
    devices: new ToldRows<Device>(({ ifindex }) => String(ifindex), MAX_DEVICES),
    captures: new ToldRows<CaptureStatus>(({ capture }) => capture, MAX_CAPTURE_STATUSES),
    counters: new ToldCounters(),
    numbers: new CounterWriter(),
    /** The list that `devices` has. */
    listed: undefined as readonly NodeDevice[] | undefined,
    underlay: '',
    outcome: '',
  };
  /** How the controller wants reports on this connection. Undefined: whole, and counters every second. */
  #reporting: ReportingMessage | undefined;
  /** When counters are due, milliseconds of the monotonic clock. */
  #countersDue = 0;
  #counting = false;
  /** New for each run of the agent. */
  readonly #run = randomUUID();

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** Sets the controller link for reports. */
  connect(link: ControllerLink): void {
    this.#link = link;
  }

  /** Sets the current devices and underlay of the node. */
  found(devices: readonly NodeDevice[], underlay: UnderlayState): void {
    this.#devices = devices;
    this.#underlay = underlay;
  }

  /** Sets the outcome of the program. */
  came(outcome: Outcome): void {
    this.#outcome = outcome;
  }

  /** The first messages on every connection. Nothing has been told on it. */
  greeting(): AgentMessage[] {
    const { devices, captures, counters, numbers } = this.#told;
    for (const told of [devices, captures, counters, numbers, this.#parts.traffic]) {
      told?.forget();
    }
    this.#told.listed = undefined;
    this.#reporting = undefined;
    this.#countersDue = 0;
    return [this.#hello(), this.#inventory(), this.#status()].filter((message) => message !== undefined);
  }

  /** The controller says how to report on this connection. */
  report(reporting: ReportingMessage): void {
    const isSooner = reporting.counterIntervalMs < (this.#reporting?.counterIntervalMs ?? 0);
    this.#reporting = reporting;
    if (reporting.whole) {
      this.#told.counters.forget();
    }
    if (reporting.whole || isSooner) {
      this.#countersDue = 0;
    }
  }

  /** Sends the devices if they have changed since they were last sent. */
  sendInventory(): void {
    this.#sendNews(() => this.#inventory());
  }

  /** Sends the outcome of the program if it has changed since it was last sent. */
  sendStatus(): void {
    this.#sendNews(() => this.#status());
  }

  /**
   * Reads the counters and sends those that have changed, if they are due, a program is in force and
   * the connection is not congested.
   */
  async sendCounters(): Promise<void> {
    const now = performance.now();
    const nothing = this.#counting || this.#outcome?.revision === undefined || now < this.#countersDue;
    if (nothing || !this.#link?.connected || this.#link.congested) {
      return;
    }
    this.#counting = true;
    try {
      // Asked once a second, by a timer that may come a little early.
      this.#countersDue = now + (this.#reporting?.counterIntervalMs ?? 0) - EARLY_MS;
      const reading = { run: this.#run, readAt: performance.now() };
      const all = await this.#parts.datapath.counters();
      const budgets = this.#parts.throttle?.budgets.slice(0, MAX_BUDGETS) ?? [];
      const traffic = await this.#traffic(reading.readAt);
      const more = { ...(budgets.length > 0 && { budgets }), ...(traffic && { traffic }) };
      // A device may have come, and be counted, before the pass that has found it has ended.
      this.sendInventory();
      const report = this.#told.counters.tell(all, this.#reporting !== undefined);
      this.#told.numbers.retain(all.captures);
      const message = { type: 'counters', reading, report, ...more } as const;
      this.#link.send(this.#reporting?.numbers ? this.#told.numbers.write(message) : message);
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'counters could not be read');
    } finally {
      this.#counting = false;
    }
  }

  /** Undefined: it is not due, or cannot be read. */
  async #traffic(now: number): Promise<TrafficReport | undefined> {
    const devices = this.#devices;
    const underlay = this.#underlay?.underlay && this.#underlay.ifindex;
    try {
      return await this.#parts.traffic?.read({ devices, underlay }, now);
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'traffic of devices could not be read');
      return undefined;
    }
  }

  /**
   * The controller has saved counters. Counters of parts that have left the program need not be
   * kept any longer.
   */
  countersSaved({ run, readAt }: CounterReading): void {
    // An acknowledgement for an earlier run does not concern the readings of this run.
    if (run === this.#run) {
      this.#parts.datapath.countersSaved(readAt);
    }
  }

  #hello(): Hello {
    const { node, version, datapath } = this.#parts;
    const underlay = this.#underlay?.underlay;
    const appliedRevision = this.#outcome?.revision;
    return {
      type: 'hello',
      protocol: SYNC_PROTOCOL,
      node,
      agentVersion: version,
      kernel: release(),
      hook: datapath.hookKind(),
      differences: true,
      numbers: true,
      ...this.#parts.has(),
      ...(underlay !== undefined && { underlay }),
      ...(appliedRevision !== undefined && { appliedRevision }),
    };
  }

  /** Something has changed here: its counts are of interest, too. */
  #sendNews(make: () => AgentMessage | undefined): void {
    const message = this.#link?.connected ? make() : undefined;
    if (message !== undefined) {
      this.#countersDue = 0;
      this.#link?.send(message);
    }
  }

  /** Undefined: nothing has changed. */
  #inventory(): AgentMessage | undefined {
    const underlay = this.#underlay?.underlay;
    const before = this.#told.underlay;
    this.#told.underlay = JSON.stringify(underlay) ?? '';
    if (this.#told.listed === this.#devices && before === this.#told.underlay) {
      return undefined;
    }
    this.#told.listed = this.#devices;
    const all = this.#devices.map(({ ethernet: _, reversed: __, expected: ___, ...device }): Device => device);
    const { rows, gone, isNews } = this.#told.devices.tell(all, this.#reporting !== undefined);
    if (!isNews && before === this.#told.underlay) {
      return undefined;
    }
    const ended = gone && { gone: gone.map(Number) };
    return { type: 'inventory', ...(underlay !== undefined && { underlay }), devices: rows, ...ended };
  }

  /** Undefined: nothing has changed, or no program has been carried out. */
  #status(): StatusMessage | undefined {
    if (this.#outcome === undefined) {
      return undefined;
    }
    const { revision: appliedRevision = 0, captures, problems } = this.#outcome;
    const { rows, gone, isNews } = this.#told.captures.tell(captures, this.#reporting !== undefined);
    const before = this.#told.outcome;
    this.#told.outcome = JSON.stringify([appliedRevision, problems]);
    if (!isNews && before === this.#told.outcome) {
      return undefined;
    }
    return { type: 'status', appliedRevision, captures: rows, problems: [...problems], ...(gone && { gone }) };
  }
}
