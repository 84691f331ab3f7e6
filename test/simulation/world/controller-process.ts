/**
 * A controller as a process of the simulation: its real store view, decisions, planning, reports,
 * sessions and routes. What needs ports, certificates or people is left out.
 */
import { EventEmitter } from 'node:events';
import {
  AgentSessions,
  CERTIFICATE_URN,
  CurrentInventory,
  counterFolder,
  Decisions,
  KeptStatuses,
  NODE_URN,
  NodeParts,
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
import type { VirtualSocket } from './socket.ts';

/** A running controller. */
export interface RunningController {
  readonly services: Services;
  /** An agent asks for a connection. */
  offered(offer: Offer): void;
  /** The status of every policy, as the API gives it. */
  statuses(): PolicyOutline[];
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

/** Starts a controller, as a step of its process. Resolves when it takes connections. */
export async function runController(store: Store, log: SimulatedLog): Promise<RunningController> {
  const logger = log as unknown as Services['log'];
  const clock = () => Date.now();
  const view = new View(store, (error) => log.fatal({ err: error }, 'the watch of the store ended'));
  await view.open();
  const decisions = new Decisions(store, view);
  const { live, observed, places } = openNodes(view, clock, () => performance.now());
  let agents: AgentSessions | undefined;
  const counters = new SavedCounters({
    ...{ place: counterFolder('/controller/counters'), view, live, log: logger },
    saved: (node, reading) => agents?.countersSaved(node, reading),
  });
  await counters.open();
  const inventory = new CurrentInventory(view, live, places);
  const planning = new Planning({ view, live, decisions, inventory: observed, log: logger });
  const statuses = new KeptStatuses({ view, live, planning, inventory });
  const services = {
    ...silentParts(log),
    ...{ view, live, decisions, planning, inventory, statuses, log: logger, clock },
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
  };
}

/** What `AgentServer` does with a connection: the certificate says whose it is. */
function take(offer: Offer, services: Services, sessions: AgentSessions): void {
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
