/**
 * The controller's control logic in one process, and nodes that are only messages: no ports, no
 * agents, no people.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import {
  EventLog,
  EventObserver,
  History,
  keyOf,
  openBoards,
  openSqliteStore,
  PolicyPaths,
  type PolicyRecord,
  StreamHub,
  TopicStream,
  topicSources,
  Walks,
} from '@mirrorplane/controller/testing';
import {
  AgentSessions,
  type Call,
  CurrentInventory,
  counterFolder,
  Decisions,
  FRESH_MS,
  interfaceRoutes,
  judgeOf,
  KeptStatuses,
  NodeParts,
  nodeRoutes,
  openNodes,
  Planning,
  policyRoutes,
  type Route,
  renderMetrics,
  SavedCounters,
  type Services,
  type Store,
  View,
} from '@mirrorplane/controller/testing/control';
import { createLog } from '@mirrorplane/daemon';
import type { Size } from '../scale/names.ts';
import { ReportingNode } from './node.ts';

/** Milliseconds of CPU time of each step of a start, in order. */
export type Steps = [name: string, ms: number][];

const AUTHORITY = {
  trusted: [{ fingerprint: 'measured', pem: '', endsAt: '' }],
  fingerprint: 'measured',
  isRotating: false,
  hasSigned: () => true,
  onChange: () => () => {},
};
const NOTHING_TAKEN = { take: async () => 0 };
const NO_AUDIT = {
  ...{ audit: { end: { seq: 0, unsigned: 0 }, failures: 0 }, auditCheck: {}, refusals: { counts: () => [] } },
  loopDelay: { seconds: undefined },
};
const NO_LOOKS = { on() {}, running: () => [], get: () => undefined };
const log = createLog('controller', process.env.V ? 'info' : 'silent');

/** A controller that runs. */
export class World {
  readonly steps: Steps = [];
  readonly nodes: ReportingNode[] = [];
  readonly #folder: string;
  #services: (Services & { store: Store; counters: SavedCounters }) | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  get services() {
    return this.#services!;
  }

  /** Starts the parts in the order of the product. `steps` says how long each has taken. */
  async start(): Promise<void> {
    const step = async <T>(name: string, run: () => T | Promise<T>): Promise<T> => {
      const cpu = process.threadCpuUsage();
      const result = await run();
      const { user, system } = process.threadCpuUsage(cpu);
      this.steps.push([name, (user + system) / 1000]);
      return result;
    };
    const store = await step('store opened', () => openSqliteStore(join(this.#folder, 'store.db')));
    const view = new View(store, (error) => log.fatal({ err: error }, 'the watch of the store ended'));
    await step('store read', () => view.open());
    const clock = Date.now;
    const events = await step('events read', () => EventLog.open(join(this.#folder, 'events.log'), { clock, log }));
    const decisions = new Decisions(store, view);
    const { live, observed, places } = await step('nodes restored', () =>
      openNodes(view, clock, () => performance.now()),
    );
    const sessions: { all?: AgentSessions } = {};
    const counters = new SavedCounters({
      ...{ place: counterFolder(join(this.#folder, 'counters')), view, live, log },
      saved: (node, reading) => sessions.all?.countersSaved(node, reading),
    });
    await step('counters read', () => counters.open());
    const inventory = new CurrentInventory(view, live, places);
    const planning = new Planning({ view, live, decisions, inventory: observed, log });
    const statuses = new KeptStatuses({ view, live, planning, inventory });
    const observer = new EventObserver({ events, view, live, planning, log, clock, statuses });
    const history = new History({ view, live, planning, log });
    const boards = openBoards({ view, live, inventory, history, statuses });
    const paths = new PolicyPaths({ view, live, planning, inventory, history, statuses });
    const hub = new StreamHub({
      history,
      sources: topicSources({ ...boards, pathOf: (name) => paths.of(name) }),
      freshen: () => statuses.freshen(FRESH_MS),
      failed: (error) => log.error({ err: error }, 'streams'),
    });
    const services = {
      ...{
        view,
        live,
        decisions,
        planning,
        inventory,
        observer,
        events,
        history,
        log,
        clock,
        store,
        statuses,
        counters,
      },
      ...boards,
      ...{ paths, hub },
      ...NO_AUDIT,
      ...{ walks: new Walks(clock), looks: NO_LOOKS, findings: NO_LOOKS, authority: AUTHORITY },
      ...{ agentEvents: NOTHING_TAKEN, tests: { joined() {}, report() {} } },
      nodeParts: new NodeParts(planning),
    };
    this.#services = services as unknown as typeof this.services;
    await step('first plan', async () => {
      planning.request();
      await planning.settled();
    });
    sessions.all = new AgentSessions(this.services, () => {});
    this.#sessions = sessions.all;
  }

  #sessions: AgentSessions | undefined;

  /** All nodes connect, and report until they have confirmed their programs. */
  async connect(size: Size): Promise<void> {
    for (let number = 1; number <= size.nodes; number++) {
      const node = new ReportingNode(number, size);
      this.nodes.push(node);
      const certificateEndsAt = '2100-01-01T00:00:00.000Z';
      const certificate = { generation: 1, number: 0 };
      this.#sessions!.begin(
        node as never,
        { node: node.name, address: '127.0.0.1', certificate, certificateEndsAt } as never,
      );
      node.hello();
      node.inventory();
      await turn();
    }
    await this.settled();
    for (const node of this.nodes) {
      node.counters();
    }
    await this.heard();
  }

  /** Resolves when all that nodes have said is read. */
  async heard(): Promise<void> {
    do {
      await turn();
    } while (this.#sessions!.waiting > 0);
  }

  /** Plans, and lets nodes confirm what they are sent, until nothing changes. */
  async settled(): Promise<void> {
    for (let rounds = 0; rounds < 20; rounds++) {
      await this.heard();
      await this.services.planning.settled();
      const behind = this.nodes.filter((node) => node.isBehind);
      if (behind.length === 0) {
        return;
      }
      for (const node of behind) {
        node.status();
      }
    }
  }

  /** Changes a policy, as a request does it, and asks for a plan. */
  async edit(name: string, change: Partial<PolicyRecord>): Promise<void> {
    const { decisions, planning, view } = this.services;
    const key = keyOf('policies', name);
    await decisions.decide(() => {
      const value = { ...view.get('policies', name)!.value, ...change };
      return { ops: [{ type: 'put', key, value }], result: () => undefined };
    });
    planning.requestSoon();
  }

  /** All metrics. @param sources that may have series of their own @returns bytes */
  async metrics(sources: number): Promise<number> {
    const { text } = await renderMetrics(this.services, { sources }, '');
    let bytes = 0;
    for await (const piece of text) {
      bytes += piece.length;
    }
    return bytes;
  }

  /** A request of one who may do everything. @returns bytes of the answer */
  async get(path: string, query: Record<string, unknown>): Promise<number> {
    const route = ROUTES.find((one) => one.method === 'get' && one.path === path)!;
    const judge = judgeOf([{ role: 'admin' }], this.services);
    const call = { query: route.query!.parse(query), services: this.services, judge, who: { name: 'measured' } };
    const answer = await route.handle(call as unknown as Call<never, never, never>);
    return JSON.stringify(answer.body).length;
  }

  /** One who reads topics. */
  read(names: readonly string[]): { bytes: number; end: () => void } {
    const { hub, clock } = this.services;
    const stream = new TopicStream({ topics: hub.open(names), hello: {}, clock });
    hub.add(stream, names);
    const reader = { bytes: 0, end: () => stream.destroy() };
    stream.on('data', (data: Buffer) => {
      reader.bytes += data.length;
    });
    return reader;
  }

  async stop(): Promise<void> {
    const { observer, history, planning, counters, events, decisions, view, store } = this.services;
    observer.close();
    history.close();
    await planning.close();
    await decisions.settled();
    await counters.close();
    await events.close();
    view.close();
    await store.close();
    for (const node of this.nodes) {
      node.close();
    }
  }
}

const ROUTES: readonly Route[] = [...policyRoutes, ...interfaceRoutes, ...nodeRoutes];
