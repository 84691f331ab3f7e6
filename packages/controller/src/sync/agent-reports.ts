/** What an agent reports after its hello, and where that goes. */
import {
  type AgentMessage,
  type CertificateStoredMessage,
  CounterReader,
  type CountersMessage,
  type EventsMessage,
  type HeardCounters,
  type Hello,
  type InventoryMessage,
  type LookRefusal,
  type ProgramWantedMessage,
  type RenewMessage,
  type StatusMessage,
  sourceOfCapture,
  type TestReportMessage,
  type Underlay,
} from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { EventsFromAgents } from '../events/events-from-agents.ts';
import type { EventObserver } from '../events/observer.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { TokenBucket } from '../token-bucket.ts';
import { MessageParts } from './message-parts.ts';
import { ReportLists } from './report-lists.ts';

/**
 * Inventories of a node that ask for planning at once, and in each second after that; others wait
 * for the next second.
 */
const INVENTORIES = { reserve: 50, perSecond: 5 };

/** Where reports go. */
export interface ReportHost {
  live: LiveNodes;
  observer: EventObserver;
  agentEvents: EventsFromAgents;
  log: Logger;
  /** Devices, underlay or what else a plan depends on may have changed. */
  onInventory(): void;
  /** The agent says what became of probes. */
  onTestReport(message: TestReportMessage): void;
  /** The kernel of the node runs another program than before. */
  onConfirmed(): void;
  /** The node cannot carry out these looks, and all others that it was asked for. */
  onLooksRefused(node: string, refused: readonly LookRefusal[]): void;
  /** The agent asks for a certificate, or has stored one. */
  onRenewal(message: RenewMessage | CertificateStoredMessage): void;
  /** Names of all policies by uid. */
  policyNames(): ReadonlyMap<string, string>;
}

interface AgentReportsParts {
  node: string;
  host: ReportHost;
  /** The agent reports counters. */
  counted: (message: HeardCounters) => void;
  /** Events of this run of the agent up to `seq` are kept. */
  eventsKept: (epoch: string, seq: number) => void;
}

export class AgentReports {
  readonly #parts: AgentReportsParts;
  readonly #messages = new MessageParts();
  readonly #lists = new ReportLists();
  readonly #numbers = new CounterReader();
  readonly #inventories = new TokenBucket(INVENTORIES);
  #planning: NodeJS.Timeout | undefined;

  constructor(parts: AgentReportsParts) {
    this.#parts = parts;
  }

  /**
   * Takes a report, or a part of one.
   * @param underlay what the hello of the same connection said
   * @returns what is wrong with it; undefined: nothing is
   */
  take(part: Exclude<AgentMessage, Hello | ProgramWantedMessage>, underlay: Underlay | undefined): string | undefined {
    const { node: name, host } = this.#parts;
    const { live } = host;
    const node = live.get(name);
    if (!node) {
      return undefined;
    }
    live.heard(name);
    const message = this.#messages.join(part);
    if (message === undefined) {
      return undefined;
    }
    if ('problem' in message) {
      return message.problem;
    }
    if (message.type === 'inventory') {
      return this.#inventory(message, node, underlay);
    }
    if (message.type === 'status') {
      return this.#status(message);
    }
    if (message.type === 'events') {
      void this.#keep(message);
    } else if (message.type === 'testReport') {
      host.onTestReport(message);
    } else if (message.type === 'looksRefused') {
      host.onLooksRefused(name, message.refused);
    } else if (message.type === 'renew' || message.type === 'certificateStored') {
      host.onRenewal(message);
    } else {
      return this.#counters(message);
    }
    return undefined;
  }

  close(): void {
    clearTimeout(this.#planning);
  }

  #counters(message: CountersMessage): string | undefined {
    const all = this.#numbers.read(message);
    if ('problem' in all) {
      return all.problem;
    }
    this.#parts.counted(all);
    return undefined;
  }

  #inventory(message: InventoryMessage, node: LiveNode, underlay: Underlay | undefined): string | undefined {
    const whole = this.#lists.inventory(message);
    if ('problem' in whole) {
      return whole.problem;
    }
    this.#parts.host.live.inventory(node.name, whole, underlay);
    if (node.dirty) {
      this.#plan();
    }
    return undefined;
  }

  #status(message: StatusMessage): string | undefined {
    const whole = this.#lists.status(message);
    if ('problem' in whole) {
      return whole.problem;
    }
    const { node: name, host } = this.#parts;
    const others = whole.captures.filter(({ capture }) => !isOwn(capture, name, host.live));
    // Nearly always there are none: then the list is not kept twice.
    const left = new Set(others);
    const captures = left.size === 0 ? whole.captures : whole.captures.filter((one) => !left.has(one));
    const isNews = host.live.status(name, { ...whole, captures }, host.policyNames, others);
    host.observer.reported(name);
    if (isNews) {
      host.onConfirmed();
    }
    return undefined;
  }

  /** An agent whose devices come and go without end must not keep the controller planning. */
  #plan(): void {
    const { host } = this.#parts;
    const wait = this.#inventories.spend(1);
    if (wait === 0) {
      host.onInventory();
    } else {
      this.#planning ??= setTimeout(
        () => {
          this.#planning = undefined;
          host.onInventory();
        },
        Math.min(wait, 1000),
      );
    }
  }

  /** What could not be kept is not acknowledged, and comes again with the next connection. */
  async #keep(message: EventsMessage): Promise<void> {
    const { node, host, eventsKept } = this.#parts;
    try {
      eventsKept(message.epoch, await host.agentEvents.take(node, message));
    } catch (error) {
      host.log.error({ node, err: error }, 'events of an agent not kept');
    }
  }
}

/** A node is believed about captures of interfaces that it has or had, and about no others. */
function isOwn(capture: string, node: string, live: LiveNodes): boolean {
  const source = sourceOfCapture(capture);
  return source !== undefined && live.claims.hasHad(node, source);
}
