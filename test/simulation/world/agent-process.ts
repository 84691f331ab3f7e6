/** An agent as a process of the simulation: its real control logic, on a simulated host. */
import { EventEmitter } from 'node:events';
import {
  Agent,
  type AgentParts,
  EventRecorder,
  findUnderlay,
  KnownControllers,
  ProgramFile,
  SyncClient,
} from '@mirrorplane/agent/testing/control';
import type { AgentMessage } from '@mirrorplane/contract';
import type { Host } from './host.ts';
import type { SimulatedLog } from './log.ts';

/** Share of the runs of agents that are those of an earlier version, which takes whole programs alone. */
const EARLIER = 0.2;

/** What an agent says. One of an earlier version knows nothing of differences. */
function said(message: AgentMessage, controllers: KnownControllers | undefined, isEarlier: boolean): AgentMessage {
  if (message.type !== 'hello') {
    return message;
  }
  const { takesDifferences, program, ...hello } = message;
  const known = isEarlier ? hello : message;
  return controllers ? { ...known, term: controllers.term } : known;
}

/** The controllers that an agent can connect to, where there are several. */
async function controllersOf({ controllers }: Host, log: AgentParts['log']): Promise<KnownControllers | undefined> {
  const given = controllers.map((name) => `${name}:7071`);
  return given.length === 0 ? undefined : KnownControllers.load({ given, file: '/agent/controllers.json', log });
}

/** Next hops that are always resolved: the underlay has no routers here. */
class NextHops extends EventEmitter {
  #addresses: readonly string[] = [];

  async want(_port: unknown, addresses: readonly string[]): Promise<void> {
    this.#addresses = addresses;
  }

  current() {
    return new Map(this.#addresses.map((address) => [address, { state: 'resolved' as const }]));
  }

  noWayBack(): ReadonlySet<string> {
    return new Set();
  }

  async refresh(): Promise<void> {}

  touched(): void {}
}

/** The devices of a host, for one run of an agent. */
class Links extends EventEmitter {
  readonly #host: Host;

  constructor(host: Host) {
    super();
    this.#host = host;
  }

  async open(): Promise<void> {}

  links() {
    return this.#host.links();
  }

  close(): void {}
}

/** Starts the agent of a host, as `start.ts` does, as a step of its process. @returns tells it that devices have changed */
export async function runAgent(host: Host, log: SimulatedLog): Promise<() => void> {
  const { node, uid, generation } = host.membership!;
  const links = new Links(host);
  const events = new EventRecorder({
    onInvalid: (event, problem) => log.error({ event, problem }, 'event not told'),
  });
  host.kernel.agentStarted();
  await host.kernel.open();
  const parts = {
    node,
    version: 'simulated',
    links,
    nextHops: new NextHops(),
    statistics: async (ifindex: number) => {
      const sent = host.guests.find((device) => device.ifindex === ifindex)?.sent ?? 0;
      return { received: sent, sent: 0, sentBytes: 0 };
    },
    underlay: () => findUnderlay(async () => [host.address], { device: 'eth0', address: undefined }, host.links()),
    datapath: host.kernel,
    programs: new ProgramFile('/agent/program.json'),
    events,
    log: log as unknown as AgentParts['log'],
  } as unknown as AgentParts;
  const agent = new Agent(parts);
  await agent.start();
  const certificate = JSON.stringify({ node, uid, generation });
  const isEarlier = Math.random() < EARLIER;
  const controllers = await controllersOf(host, parts.log);
  host.term = () => controllers?.term ?? 0;
  const sync = new SyncClient({
    controller: controllers ?? 'controller:7071',
    credentials: { key: '', certificate, authority: '' },
    greeting: () => agent.greeting().map((message) => said(message, controllers, isEarlier)),
    log: parts.log,
  });
  sync.on('program', (program) => {
    host.obeys();
    agent.take(program);
  });
  sync.on('programDifference', (difference) => {
    host.obeys();
    agent.programs.takeDifference(difference);
  });
  sync.on('partsWanted', () => agent.programs.tellParts());
  sync.on('eventsTaken', (taken) => events.taken(taken));
  sync.on('countersSaved', (saved) => agent.countersSaved(saved));
  sync.on('tests', (tests) => agent.probes.take(tests));
  sync.on('reporting', (reporting) => agent.report(reporting));
  sync.on('dismissed', () => agent.dismiss());
  agent.connect(sync);
  sync.start();
  return () => links.emit('change');
}
