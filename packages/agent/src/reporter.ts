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
} from '@mirrorplane/contract';
import type { Datapath } from './datapath/datapath.ts';
import type { NodeDevice } from './discovery/devices.ts';
import type { UnderlayState } from './discovery/underlay.ts';
import type { Logger } from './log.ts';

/** The part of the sync client that the agent uses. */
export interface ControllerLink {
  readonly connected: boolean;
  /** What was sent waits in the socket: nothing that can wait is added. */
  readonly congested: boolean;
  send(message: AgentMessage): void;
}

export interface ReporterParts {
  node: string;
  version: string;
  datapath: Pick<Datapath, 'hookKind' | 'counters' | 'countersSaved'>;
  /** Left out: no device has a budget. */
  throttle?: { readonly budgets: readonly DeviceBudget[] };
  log: Logger;
}

/** What became of the program that came last. */
export interface Outcome {
  /** Of the program that the kernel runs. Left out: none yet. */
  revision: number | undefined;
  captures: readonly CaptureStatus[];
  problems: readonly NodeProblem[];
}

/** Sends what has changed since it was sent last, and all of it on every connection. */
export class Reporter {
  readonly #parts: ReporterParts;
  #link: ControllerLink | undefined;
  #underlay: UnderlayState | undefined;
  #devices: readonly NodeDevice[] = [];
  /** Undefined until there is a program: nothing has been carried out. */
  #outcome: Outcome | undefined;
  #sentInventory = '';
  #sentStatus = '';
  #counting = false;
  /** New for each run of the agent. */
  readonly #run = randomUUID();

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** Names the connection that reports go to. */
  connect(link: ControllerLink): void {
    this.#link = link;
  }

  /** The node has these devices now, and this underlay. */
  found(devices: readonly NodeDevice[], underlay: UnderlayState): void {
    this.#devices = devices;
    this.#underlay = underlay;
  }

  /** This became of the program. */
  came(outcome: Outcome): void {
    this.#outcome = outcome;
  }

  /** What the controller is told first on every connection. */
  greeting(): AgentMessage[] {
    const [inventory, status] = [this.#inventory(), this.#status()];
    this.#sentInventory = JSON.stringify(inventory);
    this.#sentStatus = JSON.stringify(status);
    return [this.#hello(), inventory, ...(status === undefined ? [] : [status])];
  }

  /** Sends the devices, where they are not as they were sent last. */
  sendInventory(): void {
    const message = this.#inventory();
    const text = JSON.stringify(message);
    if (text === this.#sentInventory || !this.#link?.connected) {
      return;
    }
    this.#sentInventory = text;
    this.#link.send(message);
  }

  /** Sends what became of the program, where it is not as it was sent last. */
  sendStatus(): void {
    const message = this.#status();
    const text = JSON.stringify(message);
    if (message === undefined || text === this.#sentStatus || !this.#link?.connected) {
      return;
    }
    this.#sentStatus = text;
    this.#link.send(message);
  }

  /** Reads all counters and sends them, where a program is in force and the connection takes more. */
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
      this.#link.send({ type: 'counters', reading, report, ...(budgets.length > 0 && { budgets }) });
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'counters could not be read');
    } finally {
      this.#counting = false;
    }
  }

  /** The controller has saved counters: those of what has left the program need not be kept for it any more. */
  countersSaved({ run, readAt }: CounterReading): void {
    // An answer to an agent that ran before says nothing about what this one has read.
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
