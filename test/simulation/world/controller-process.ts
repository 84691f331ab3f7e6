/**
 * A controller as a process of the simulation: its real store view, decisions, planning, reports,
 * sessions and routes. What needs ports, certificates or people is left out.
 */
import { EventEmitter } from 'node:events';
import {
  AgentSessions,
  CERTIFICATE_URN,
  type Controller,
  type ControllerOptions,
  CurrentInventory,
  counterFolder,
  Decisions,
  KeptStatuses,
  type Leadership,
  LINK_PATH,
  NODE_URN,
  NodeParts,
  openEtcdStore,
  openNodes,
  Planning,
  registeredNode,
  SavedCounters,
  type Services,
  type Store,
  View,
} from '@mirrorplane/controller/testing/control';
import type { PolicyOutline } from '@mirrorplane/planner';
import type { SimulatedLog } from './log.ts';
import type { Offer } from './network.ts';
import { sharedCounterPlace } from './shared-counters.ts';
import type { VirtualSocket } from './socket.ts';

/** A running controller. */
export interface RunningController {
  readonly services: Services;
  /** An agent asks for a connection. */
  offered(offer: Offer): void;
  /** The status of every policy, as the API gives it. */
  statuses(): PolicyOutline[];
  /** Ends it in order. */
  close(): Promise<void>;
}

/** An authority of which every agent of the simulation has a certificate. */
const AUTHORITY = {
  trusted: [{ fingerprint: 'simulated', pem: '', endsAt: '' }],
  fingerprint: 'simulated',
  isRotating: false,
  hasSigned: () => true,
  onChange: () => () => {},
};
const FAR = new Date(Date.UTC(2100, 0));

/** Parts that only record. */
function silentParts(log: SimulatedLog) {
  const nothing = async () => {};
  return {
    observer: {
      ...{ connected() {}, disconnected() {}, rejected() {}, reported() {} },
      // All agents are honest.
      countersRefused: (node: string, why: string) => log.error({ node, why }, 'an honest agent is accused'),
    },
    agentEvents: { take: async (_node: string, { events }: { events: { seq: number }[] }) => events.at(-1)?.seq ?? 0 },
    events: { note: nothing, noteDecision: nothing, forget() {}, newestFirst: () => [], append: nothing },
    audit: { requireWritable() {}, append: nothing },
    refused: { add: nothing },
    refusals: { add() {} },
    looks: Object.assign(new EventEmitter(), { running: () => [], get: () => undefined }),
    findings: { get: () => undefined },
    tests: { joined() {}, report() {} },
    authority: AUTHORITY,
  };
}

export interface ControllerParts {
  store: Store;
  log: SimulatedLog;
  /** Where several controllers run. */
  leadership?: Leadership | undefined;
  /** Its store has ended its watch. Default: that is an error. */
  failed?: ((error: Error) => void) | undefined;
}

/** Starts what a leader of several controllers runs, as a step of its process. */
export async function lead(
  options: ControllerOptions,
  log: SimulatedLog,
  begins: (running: RunningController) => void,
): Promise<Controller> {
  const { leadership, failed } = options;
  const store = await openEtcdStore(options.etcd!);
  let running: RunningController;
  try {
    running = await runController({ store, log, leadership, failed });
    await leadership!.beforeListening();
  } catch (error) {
    await store.close();
    throw error;
  }
  begins(running);
  const close = async () => {
    await running.close();
    leadership!.close();
    await store.close();
  };
  return { addresses: [], agentPort: 0, planningFor: () => 0, close };
}

/** Starts a controller, as a step of its process. Resolves when it can take connections. */
export async function runController({ store, log, leadership, failed }: ControllerParts): Promise<RunningController> {
  const logger = log as unknown as Services['log'];
  const clock = () => Date.now();
  const ended = (error: Error) => log.fatal({ err: error }, 'the watch of the store ended');
  const view = new View(store, failed ?? ended);
  await view.open();
  const decisions = new Decisions(store, view);
  const { live, observed, places } = openNodes(view, clock, () => performance.now());
  let agents: AgentSessions | undefined;
  const counters = new SavedCounters({
    place: store.shared ? sharedCounterPlace(store.shared) : counterFolder('/controller/counters'),
    ...{ view, live, log: logger },
    saved: (node, reading) => agents?.countersSaved(node, reading),
  });
  await counters.open();
  const inventory = new CurrentInventory(view, live, places);
  const planning = new Planning({ view, live, decisions, inventory: observed, log: logger });
  const statuses = new KeptStatuses({ view, live, planning, inventory });
  const services = {
    ...silentParts(log),
    ...{ view, live, decisions, planning, inventory, statuses, log: logger, clock, endClock: clock, leadership },
    nodeParts: new NodeParts(planning),
    dismiss: (node: string) => agents?.dismiss(node),
    revoked: (node: string) => {
      live.admission(node, true);
      agents?.cutOff(node, 'revoked');
      planning.request();
    },
    enrolled: (node: string) => {
      live.admission(node, false);
      agents?.cutOff(node, 'superseded');
    },
  } as unknown as Services;
  planning.request();
  planning.requestAfterGrace();
  await planning.settled();
  const sessions = new AgentSessions(services, () => {});
  agents = sessions;
  return {
    services,
    offered: (offer) => take(offer, services, sessions),
    statuses: () => [...statuses.all()],
    close: async () => {
      sessions.close();
      planning.close();
      await counters.close();
      await decisions.settled();
      view.close();
    },
  };
}

/** What `AgentServer` does with a connection: the certificate says whose it is. */
function take(offer: Offer, services: Services, sessions: AgentSessions): void {
  if (offer.path === LINK_PATH) {
    // Where no controller can lead others, there is no such path.
    services.leadership?.followers.accept({ headers: offer.headers } as never, offer as never, Buffer.alloc(0));
    return;
  }
  const { node, uid, generation } = JSON.parse(offer.certificate) as { node: string; uid: string; generation: number };
  const shown = {
    subject: { CN: node },
    valid_to: FAR.toISOString(),
    subjectaltname: `URI:${NODE_URN}${uid}, URI:${CERTIFICATE_URN}${generation}.0`,
  };
  const tls = { authorized: true, getPeerCertificate: () => shown, getPeerX509Certificate: () => ({}) };
  const identity = registeredNode(tls as never, services);
  if ('status' in identity) {
    offer.refuse(identity.status, { 'mirrorplane-refused': identity.reason }, identity.message);
  } else if (sessions.countOf(node) >= MAX_CONNECTIONS_OF_NODE) {
    offer.refuse(429, { 'mirrorplane-refused': 'tooManyOfNode' }, 'too many connections');
  } else {
    const socket: VirtualSocket = offer.accept();
    sessions.begin(socket as never, { ...identity, address: offer.from });
  }
}

const MAX_CONNECTIONS_OF_NODE = 4;
