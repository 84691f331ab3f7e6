/** What the agent reports of this node: its devices, the outcome of the program, counters. */
import { randomUUID } from 'node:crypto';
import { release } from 'node:os';
import {
  type AgentMessage,
  type CaptureStatus,
  type CounterReading,
  type Device,
  type DeviceBudget,
  type Hello,
  MAX_BUDGETS,
  type NodeProblem,
  type StatusMessage,
  SYNC_PROTOCOL,
  type TrafficReport,
} from '@mirrorplane/contract';
import type { Datapath } from './datapath/datapath.ts';
import type { NodeDevice } from './discovery/devices.ts';
import type { UnderlayState } from './discovery/underlay.ts';
import type { Logger } from './log.ts';
import type { TrafficReader } from './traffic-reader.ts';

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
  #sentInventory = '';
  #sentStatus = '';
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

  /** The first messages on every connection. */
  greeting(): AgentMessage[] {
    const [inventory, status] = [this.#inventory(), this.#status()];
    this.#sentInventory = JSON.stringify(inventory);
    this.#sentStatus = JSON.stringify(status);
    this.#parts.traffic?.reset();
    return [this.#hello(), inventory, ...(status === undefined ? [] : [status])];
  }

  /** Sends the devices if they have changed since they were last sent. */
  sendInventory(): void {
    const message = this.#inventory();
    const text = JSON.stringify(message);
    if (text === this.#sentInventory || !this.#link?.connected) {
      return;
    }
    this.#sentInventory = text;
    this.#link.send(message);
  }

  /** Sends the outcome of the program if it has changed since it was last sent. */
  sendStatus(): void {
    const message = this.#status();
    const text = JSON.stringify(message);
    if (message === undefined || text === this.#sentStatus || !this.#link?.connected) {
      return;
    }
    this.#sentStatus = text;
    this.#link.send(message);
  }

  /** Reads and sends all counters, if a program is in force and the connection is not congested. */
  async sendCounters(): Promise<void> {
    const nothing = this.#counting || this.#outcome?.revision === undefined;
    if (nothing || !this.#link?.connected || this.#link.congested) {
      return;
    }
    this.#counting = true;
    try {
      const reading = { run: this.#run, readAt: performance.now() };
      const report = await this.#parts.datapath.counters();
      const budgets = this.#parts.throttle?.budgets.slice(0, MAX_BUDGETS) ?? [];
      const traffic = await this.#traffic(reading.readAt);
      const more = { ...(budgets.length > 0 && { budgets }), ...(traffic && { traffic }) };
      this.#link.send({ type: 'counters', reading, report, ...more });
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
      ...(underlay !== undefined && { underlay }),
      ...(appliedRevision !== undefined && { appliedRevision }),
    };
  }

  #inventory(): AgentMessage {
    const underlay = this.#underlay?.underlay;
    const devices = this.#devices.map(({ ethernet: _, reversed: __, expected: ___, ...device }): Device => device);
    return { type: 'inventory', ...(underlay !== undefined && { underlay }), devices };
  }

  #status(): StatusMessage | undefined {
    if (this.#outcome === undefined) {
      return undefined;
    }
    const { revision, captures, problems } = this.#outcome;
    return { type: 'status', appliedRevision: revision ?? 0, captures: [...captures], problems: [...problems] };
  }
}
