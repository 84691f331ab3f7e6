/**
 * One simulated node: the agent's control logic and its client of the controller, as they are,
 * over devices and a data path in memory.
 */
import { EventEmitter } from 'node:events';
import {
  Agent,
  type AllStatistics,
  type ControllerLink,
  type DatapathState,
  EventRecorder,
  type Link,
  type LinkSource,
  type NextHop,
  type StoredCredentials,
  SyncClient,
  TrafficReader,
} from '@mirrorplane/agent/testing';
import type { AgentMessage } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { nodeName } from './names.ts';
import type { SharedParts } from './shared-parts.ts';
import { type SentCopies, SimulatedDatapath } from './simulated-datapath.ts';

const log = createLog('agent', process.env.V ? 'info' : 'silent');

/**
 * Milliseconds between passes without a request. Those of real nodes are shorter: they use CPU time
 * of their own node, and here all nodes share one machine.
 */
const REPAIR_MS = 60_000;
const UNDERLAY_IFINDEX = 2;
/** Bytes a second of the underlay. */
const SPEED = 1.25e9;

/** Devices that come and go. */
class SimulatedLinks extends EventEmitter implements LinkSource {
  readonly #all = new Map<string, Link>();
  #next = 10;

  async open(): Promise<void> {}

  links(): readonly Link[] {
    return [...this.#all.values()];
  }

  /** Adds the device of an interface. @param quiet without an event */
  add(id: string, quiet = false): void {
    const ifindex = this.#next++;
    const mac = `02:00:00:${[ifindex >> 16, ifindex >> 8, ifindex].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}`;
    const alias = `mirrorplane:kind=vm;id=${id};name=${id}`;
    const device = { name: `tap${ifindex}`, ifindex, mac, permanentMac: '', mtu: 1500, up: true, linkType: 'tun' };
    this.#all.set(id, { ...device, alias, master: 0, forwarding: true, ethernet: true });
    if (!quiet) {
      this.emit('change');
    }
  }

  remove(id: string): void {
    this.#all.delete(id);
    this.emit('change');
  }

  close(): void {}
}

/** Next hops of an underlay on which every node reaches every other. */
class SimulatedNextHops {
  #current = new Map<string, NextHop>();
  readonly #none = new Set<string>();

  async want(_port: unknown, addresses: readonly string[]): Promise<void> {
    this.#current = new Map(addresses.map((address) => [address, { state: 'resolved' }]));
  }

  current(): ReadonlyMap<string, NextHop> {
    return this.#current;
  }

  noWayBack(): ReadonlySet<string> {
    return this.#none;
  }

  async refresh(): Promise<void> {}

  touched(): void {}

  on(): void {}
}

export interface NodeOptions {
  /** Its number, from 1. */
  node: number;
  /** HOST:PORT of the controller's port for agents. */
  controller: string;
  credentials: StoredCredentials;
  /** Interfaces that it begins with. */
  interfaces: readonly string[];
  sent: SentCopies;
  parts: SharedParts;
  /** Called when the data path has another state. */
  applied: (state: DatapathState) => void;
  /** Called before each message to the controller. */
  sends: (message: AgentMessage) => void;
}

export class SimulatedNode {
  readonly links = new SimulatedLinks();
  readonly datapath: SimulatedDatapath;
  readonly #agent: Agent;
  readonly #sync: SyncClient;

  private constructor(options: NodeOptions) {
    const { node, controller, credentials, interfaces, sent, parts, applied, sends } = options;
    for (const id of interfaces) {
      this.links.add(id, true);
    }
    const clock = () => performance.now();
    this.datapath = new SimulatedDatapath({ node: nodeName(node), sent, applied, clock });
    const address = `10.${node >> 16}.${(node >> 8) & 255}.${node & 255}`;
    const underlay = { device: 'eth0', address, mtu: 1600, proves: true } as const;
    const events = new EventRecorder();
    this.#agent = new Agent({
      node: nodeName(node),
      version: '0.1.0',
      links: this.links,
      nextHops: new SimulatedNextHops(),
      underlay: async () => ({ underlay, ifindex: UNDERLAY_IFINDEX, mac: '02:ff:00:00:00:01', up: true }),
      traffic: new TrafficReader({
        statistics: async () => this.#statistics(),
        speedOf: () => SPEED,
        throttled: false,
        links: () => this.links.links(),
      }),
      datapath: this.datapath,
      programs: { load: async () => undefined, save: async () => undefined, settled: async () => undefined },
      sharePart: parts.share,
      events,
      log,
      repairIntervalMs: REPAIR_MS,
    });
    this.#sync = new SyncClient({ controller, credentials, greeting: () => this.#agent.greeting(), log });
    this.#sync.on('program', (program) => this.#agent.take(program));
    this.#sync.on('programDifference', (difference) => this.#agent.programs.takeDifference(difference));
    this.#sync.on('partsWanted', () => this.#agent.programs.tellParts());
    this.#sync.on('eventsTaken', (taken) => events.taken(taken));
    this.#sync.on('countersSaved', (saved) => this.#agent.countersSaved(saved));
    this.#sync.on('reporting', (reporting) => this.#agent.report(reporting));
    this.#agent.connect(observed(this.#sync, sends));
  }

  /** Starts the agent, and dials. */
  static async start(options: NodeOptions): Promise<SimulatedNode> {
    const node = new SimulatedNode(options);
    await node.datapath.open();
    await node.#agent.start();
    node.#sync.start();
    return node;
  }

  async close(): Promise<void> {
    this.#sync.close();
    await this.#agent.close();
  }

  /** What the devices have carried: the same for each, and growing. */
  #statistics(): Map<number, AllStatistics> {
    const packets = Math.floor(performance.now() / 50);
    const bytes = packets * 500;
    const all = { received: packets, sent: packets, receivedBytes: bytes, sentBytes: bytes, sendDrops: 0 };
    return new Map(this.links.links().map(({ ifindex }) => [ifindex, all as AllStatistics]));
  }
}

/** A link that tells of what is sent by it. */
function observed(link: ControllerLink, sends: (message: AgentMessage) => void): ControllerLink {
  return {
    get connected() {
      return link.connected;
    },
    get congested() {
      return link.congested;
    },
    send: (message) => {
      sends(message);
      link.send(message);
    },
  };
}
