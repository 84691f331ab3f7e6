/** The parts of a running controller, for `http/` and `sync/`. */
import type { Logger, LoopDelay } from '@mirrorplane/daemon';
import type { AuditLog } from './audit/audit.ts';
import type { RefusedEntries } from './audit/refused-entries.ts';
import type { SelfCheck } from './audit/self-check.ts';
import type { SyslogExport } from './audit/syslog/export.ts';
import type { Authority } from './auth/authority.ts';
import type { TrustedProxies } from './auth/proxies.ts';
import type { Scrapes } from './auth/scrapes.ts';
import type { Sessions } from './auth/sessions.ts';
import type { Tickets } from './auth/tickets.ts';
import type { Tries } from './auth/tries.ts';
import type { Leadership } from './cluster/leadership.ts';
import type { Decoders } from './decoder/decoders.ts';
import type { EventsFromAgents } from './events/events-from-agents.ts';
import type { EventLog } from './events/log.ts';
import type { EventObserver } from './events/observer.ts';
import type { PacedStream } from './events/paced-stream.ts';
import type { Refusals } from './events/refusals.ts';
import type { Findings } from './findings/findings.ts';
import type { History } from './history/history.ts';
import type { CurrentInventory } from './inventory/current-inventory.ts';
import type { Looks } from './looks/looks.ts';
import type { People } from './people/people.ts';
import type { KeptStatuses } from './planning/kept-statuses.ts';
import type { NodeParts } from './planning/node-parts.ts';
import type { Planning } from './planning/planning.ts';
import type { LiveNodes } from './reports/live-nodes.ts';
import type { SignInWays } from './sso/sign-in-ways.ts';
import type { Decisions } from './store/decisions.ts';
import type { StoreState } from './store/store.ts';
import type { View } from './store/view.ts';
import type { StreamHub } from './streams/hub.ts';
import type { Board } from './summaries/board.ts';
import type { DestinationEntry } from './summaries/destinations.ts';
import type { InterfaceSummaries } from './summaries/interfaces.ts';
import type { NodeEntry } from './summaries/nodes.ts';
import type { PolicyPaths } from './summaries/path.ts';
import type { PolicyEntry } from './summaries/policies.ts';
import type { Walks } from './summaries/walks.ts';
import type { PolicyTests } from './tests/policy-tests.ts';
import type { ApiCertificate } from './tls/api-certificate.ts';

export interface Services {
  view: View;
  live: LiveNodes;
  decisions: Decisions;
  /** What engine the store has, and which of its parts answer. */
  storeState: () => Promise<StoreState>;
  /** The lead over other controllers. Undefined: there are no others. */
  leadership?: Leadership | undefined;
  /** When the controller was started, ISO 8601. */
  startedAt: string;
  planning: Planning;
  /** The statuses of all policies. */
  statuses: KeptStatuses;
  inventory: CurrentInventory;
  audit: AuditLog;
  /** Checks of the audit log. */
  auditCheck: SelfCheck;
  events: EventLog;
  observer: EventObserver;
  /** Receives events of agents. */
  agentEvents: EventsFromAgents;
  /** The policies in which each node has or had a part. */
  nodeParts: NodeParts;
  /** Refusals on the agents' port. */
  refusals: Refusals;
  /** Streams that are being read, and by whom. */
  streams: Map<PacedStream, { holder: string; session: string | undefined }>;
  hub: StreamHub;
  authority: Authority;
  log: Logger;
  /** Scrapes of the metrics that are under way. */
  scrapes: Scrapes;
  /** How long the event loop lets others wait. */
  loopDelay: LoopDelay;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The same for what ends: it never goes back, also over a restart. */
  endClock: () => number;
  /** Users, and their tokens. */
  people: People;
  sessions: Sessions;
  /** Providers and directories by which people sign in. */
  signInWays: SignInWays;
  tickets: Tickets;
  /** How often an address may try to sign in. */
  tries: Tries;
  /** Copies of the audit log by syslog. Undefined: nobody gets them. */
  syslog: SyslogExport | undefined;
  /** Writes refusals to the audit log. */
  refused: RefusedEntries;
  /** Refused tries to sign in and requests to the API, and connections there that were ended. */
  refusedSignIns: Refusals;
  /** Rates over time. */
  history: History;
  /** All policies as summaries. */
  policies: Board<PolicyEntry>;
  interfaces: InterfaceSummaries;
  nodes: Board<NodeEntry>;
  destinations: Board<DestinationEntry>;
  /** The ways of copies, and the sources of policies, as they were a moment ago. */
  paths: PolicyPaths;
  /** Walks through lists that are under way. */
  walks: Walks;
  /** Looks of the cluster. */
  looks: Looks;
  /** Decoders of packets of looks. */
  decoders: Decoders;
  findings: Findings;
  /** The certificate of the API. Undefined: no address has TLS. */
  certificate?: ApiCertificate | undefined;
  /** Proxies in front of the API whose headers are believed. */
  proxies: TrustedProxies;
  /** Folder of the console, as it was built. */
  console: string;
  /** True from the first plan until the controller closes. */
  ready: () => boolean;
  /** Tests of policies. */
  tests: PolicyTests;
  /** Ends the connection of an agent whose node was deleted. */
  dismiss: (node: string) => void;
  /** A node was revoked: cuts its agent off, and plans without the node. */
  revoked: (node: string) => void;
  /** A node has enrolled: certificates and sessions of an earlier enrolment end. */
  enrolled: (node: string) => void;
}
