/** Makes and closes the parts of the controller. */
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs';
import path from 'node:path';
import { Closers, syncFolder } from '@mirrorplane/base';
import type { EventDraft } from '@mirrorplane/contract';
import { createLog, type Logger, LoopDelay, requireNotReplaceable, requireOwnFolder } from '@mirrorplane/daemon';
import type { FastifyInstance } from 'fastify';
import { AuditLog, type AuditOptions } from './audit/audit.ts';
import { RefusedEntries } from './audit/refused-entries.ts';
import { SelfCheck } from './audit/self-check.ts';
import { SyslogExport, type SyslogOptions } from './audit/syslog/export.ts';
import { auditSigner } from './auth/audit-signer.ts';
import { Authority } from './auth/authority.ts';
import { type ProxyHeader, TrustedProxies } from './auth/proxies.ts';
import { Scrapes } from './auth/scrapes.ts';
import { Sessions } from './auth/sessions.ts';
import { ACCEPT_QUEUE } from './auth/strangers.ts';
import { Tickets } from './auth/tickets.ts';
import { Tries } from './auth/tries.ts';
import { tellTimeReset } from './backup/reset-time.ts';
import { tellRestored } from './backup/restored.ts';
import type { Leadership } from './cluster/leadership.ts';
import { findConsole } from './console-folder.ts';
import { Decoders } from './decoder/decoders.ts';
import { auditTeller } from './events/audit-teller.ts';
import { watchAuthority } from './events/authority-watch.ts';
import { EventsFromAgents } from './events/events-from-agents.ts';
import { EventLog } from './events/log.ts';
import { EventObserver } from './events/observer.ts';
import { PolicyEnds } from './events/policy-ends.ts';
import { Refusals } from './events/refusals.ts';
import { refusalTeller } from './events/tell-refusals.ts';
import { Findings } from './findings/findings.ts';
import { whereabouts } from './findings/whereabouts.ts';
import { History } from './history/history.ts';
import { buildApp, endStreams } from './http/app.ts';
import { mayLook } from './http/look-sight.ts';
import { CurrentInventory } from './inventory/current-inventory.ts';
import { LatestTime } from './latest-time.ts';
import {
  clearSocket,
  formatListen,
  isInsecure,
  type ListenAddress,
  listenError,
  parseListen,
  parseTcp,
  requireSecure,
} from './listen.ts';
import { Looks } from './looks/looks.ts';
import { tellLooks } from './looks/tell-looks.ts';
import { FileTokens } from './people/file-tokens.ts';
import { makeFirstUser, resetFirstUser } from './people/first-password.ts';
import { People } from './people/people.ts';
import { FRESH_MS, KeptStatuses } from './planning/kept-statuses.ts';
import { NodeParts } from './planning/node-parts.ts';
import { Planning } from './planning/planning.ts';
import { openNodes } from './planning/stored-nodes.ts';
import { counterFolder } from './reports/counter-places.ts';
import { SavedCounters } from './reports/saved-counters.ts';
import type { Services } from './services.ts';
import { LATEST_TIME_FILE } from './shared/local-files.ts';
import { openShared } from './shared/shared.ts';
import { sharedCounters } from './shared/shared-counters.ts';
import { readSignInFile } from './sso/sign-in-file.ts';
import { SignInWays } from './sso/sign-in-ways.ts';
import { steadyClock } from './steady-clock.ts';
import { auditHeads } from './store/audit-head.ts';
import { Decisions } from './store/decisions.ts';
import { Stopping } from './store/etcd/stopping.ts';
import type { EtcdStoreOptions } from './store/etcd.ts';
import { openWholeStore } from './store/open.ts';
import { noteWhere } from './store/place.ts';
import { View } from './store/view.ts';
import { StreamHub } from './streams/hub.ts';
import { topicSources } from './streams/sources.ts';
import { openBoards } from './summaries/boards.ts';
import { displayNames } from './summaries/display-names.ts';
import { PolicyPaths } from './summaries/path.ts';
import { Walks } from './summaries/walks.ts';
import { AgentServer } from './sync/server.ts';
import { PolicyTests } from './tests/policy-tests.ts';
import { openApiCertificate, reportInsecure, type TlsOptions } from './tls/open.ts';

export interface ControllerOptions {
  /** Folder of all files of the controller. It is made if absent. */
  data: string;
  /**
   * Where the API listens: `https://ADDR:PORT`, `http://ADDR:PORT`, `ADDR:PORT` or `unix:PATH`.
   * Default `['127.0.0.1:7070']`.
   */
  listen?: readonly string[];
  /** Whether addresses that others can reach may be without TLS. Default false. */
  insecureHttp?: boolean;
  tls?: TlsOptions;
  /** Where agents connect: `ADDR:PORT`. Default `0.0.0.0:7071`. */
  agentListen?: string;
  /**
   * Folder of the console, as it was built. Default: where the source tree or the package has it.
   */
  console?: string;
  /** The etcd cluster that has the store. Default: a file in the folder. */
  etcd?: Omit<EtcdStoreOptions, 'onLost'>;
  /** The lead over other controllers, which hand their clients on to this one. Default: there are none. */
  leadership?: Leadership;
  /**
   * Called when the controller cannot work any more: another one has its store, or the store ended
   * its watch. It has to be closed then. Default: it is logged.
   */
  failed?: (error: Error) => void;
  /** File that names ways to sign in. Default: local accounts alone. */
  signIn?: string;
  /** What of the audit log is kept, and how it is signed. */
  audit?: Pick<AuditOptions, 'keepBytes' | 'keepMs' | 'fileBytes' | 'signAfterMs'>;
  /** Proxies in front of the API: addresses, networks, or `unix`. Default: none is believed. */
  trustedProxies?: readonly string[];
  /** The headers that these proxies set. Default `x-forwarded`. */
  proxyHeader?: ProxyHeader;
  /** Who gets copies of the audit log by syslog. Default: nobody. */
  syslog?: Pick<SyslogOptions, 'target' | 'authority'>;
  /** Default: a logger to stderr of level `info`. */
  logger?: Logger;
  /** True: the user `admin` gets a new password, all rights, and no authenticator app. */
  resetAdmin?: boolean;
  /** Milliseconds since 1970. Default `Date.now`. */
  clock?: () => number;
  /** Milliseconds of a clock that does not jump, for durations. Default `steadyClock`. */
  steady?: () => number;
}

export interface Controller {
  /**
   * Addresses of the API, as `formatListen` writes them. A requested port 0 is replaced by the real
   * port.
   */
  addresses: string[];
  /** Port that agents connect to. */
  agentPort: number;
  /** Password of the administrator whom this start has made, and the file that has it, too. */
  firstPassword?: { password: string; file: string };
  /** Milliseconds since the current planning began. 0 without one. */
  planningFor: () => number;
  /** Stops listening, waits for running requests, and closes the store. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a controller.
 * @throws Error with a message for the operator if the folder or an address cannot be used; nothing
 * is left open then
 */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const closers = new Closers();
  try {
    return { ...(await open(options, closers)), close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function open(options: ControllerOptions, closers: Closers) {
  const listen = (options.listen ?? ['127.0.0.1:7070']).map(parseListen);
  const agentListen = parseTcp(options.agentListen ?? '0.0.0.0:7071');
  const proxies = new TrustedProxies(options.trustedProxies, options.proxyHeader);
  if (!options.insecureHttp) {
    requireSecure(listen);
  }
  const { clock = Date.now, steady = steadyClock } = options;
  const log = options.logger ?? createLog('controller', 'info');
  const { data } = options;
  const signInFile = options.signIn === undefined ? { openid: [], ldap: [] } : readSignInFile(options.signIn);
  prepareFolder(data);
  const loopDelay = new LoopDelay();
  closers.add(() => loopDelay.close());

  const failed = (error: Error) => {
    log.fatal({ err: error }, 'the controller cannot use its store any more');
    options.failed?.(error);
  };
  const { leadership } = options;
  closers.add(() => leadership?.close());
  const stopping = options.etcd?.stopping ?? new Stopping();
  const store = await openWholeStore({ data, etcd: options.etcd && { ...options.etcd, stopping, onLost: failed } });
  closers.add(() => store.close());
  // With etcd, the files of the data directory are copies: others may have led meanwhile.
  const shared = await openShared({ data, store, log });
  closers.add(() => shared?.close());
  noteWhere({ data, etcd: options.etcd, log });
  const latest = new LatestTime({
    file: path.join(data, LATEST_TIME_FILE),
    clock,
    steady,
    log,
    copy: shared?.latestTime,
  });
  closers.add(() => latest.close());
  const view = new View(store, failed);
  await view.open();
  closers.add(() => view.close());
  const authority = await Authority.open(data, clock, shared?.files);
  const events = await EventLog.open(path.join(data, 'events.log'), { clock, log, copy: shared?.events });
  closers.add(() => events.close());
  const decisions = new Decisions(store, view);
  const audit = await AuditLog.open(path.join(data, 'audit.log'), {
    clock,
    signer: auditSigner(authority),
    heads: auditHeads(store),
    late: (revision) => decisions.audited(revision),
    tell: auditTeller({ events, log }),
    copy: shared?.audit,
    begins: shared?.begins,
    ...options.audit,
  });
  const syslog = options.syslog && new SyslogExport({ ...options.syslog, clock, tell: auditTeller({ events, log }) });
  closers.add(() => syslog?.close());
  audit.onLines((lines) => syslog?.add(lines));
  syslog?.add(audit.head === undefined ? [] : [audit.head]);
  closers.add(async () => {
    const left = await audit.close();
    if (left.unsigned + left.unwritten > 0) {
      log.warn(left, 'the audit log could not be ended: the next start signs it, and adds what changes have to say');
    }
  });
  await audit.recover(view.unaudited);
  await shared?.begin(audit, auditTeller({ events, log }));
  const notes = { store, audit, tell: auditTeller({ events, log }) };
  await tellRestored(notes);
  await tellTimeReset(notes);
  const auditCheck = new SelfCheck(audit, { clock, tell: auditTeller({ events, log }) });
  closers.add(() => auditCheck.close());
  await events.recover(view.unaudited);
  decisions.onFound((entry) => {
    Promise.all([audit.recover([entry]), events.recover([entry])]).then(
      () => decisions.audited(entry.revision),
      (error: unknown) => log.error({ err: error }, 'a decision is not in the audit log'),
    );
  });

  const certificate = await openApiCertificate({
    listen,
    tls: options.tls ?? {},
    authority: () => authority,
    data,
    events,
    log,
    clock,
  });
  closers.add(() => certificate?.close());
  closers.add(authority.onChange(() => void certificate?.look()));
  const { live, observed, places } = openNodes(view, clock, steady);
  let agents: AgentServer | undefined;
  const counters = new SavedCounters({
    place: shared ? sharedCounters(shared.files) : counterFolder(path.join(data, 'counters')),
    view,
    live,
    log,
    saved: (node, reading) => agents?.countersSaved(node, reading),
  });
  await counters.open();
  closers.add(() => counters.close());

  const inventory = new CurrentInventory(view, live, places, observed);
  closers.add(() => decisions.settled());
  const planning = new Planning({ view, live, decisions, inventory: observed, log });
  closers.add(() => planning.close());
  const statuses = new KeptStatuses({ view, live, planning, inventory });
  const nodeParts = new NodeParts(planning);
  const agentEvents = new EventsFromAgents({ events, view, live, planning, nodeParts, clock });
  const observer = new EventObserver({ events, view, live, planning, log, clock, statuses });
  const refused = new RefusedEntries({
    append: (draft) => audit.append(draft),
    failed: (error) => log.error({ err: error }, 'refusals not written to the audit log'),
  });
  closers.add(() => refused.close());
  const refusals = new Refusals(refusalTeller({ refused, events, log }));
  closers.add(() => refusals.close());
  const refusedSignIns = new Refusals(refusalTeller({ refused, events, log }));
  closers.add(() => refusedSignIns.close());
  const history = new History({ view, live, planning, log });
  closers.add(() => history.close());
  const boards = openBoards({ view, live, inventory, history, statuses });
  const paths = new PolicyPaths({ view, live, planning, inventory, history, statuses });
  const hub = new StreamHub({
    history,
    sources: topicSources({ ...boards, pathOf: (name) => paths.of(name) }),
    freshen: () => statuses.freshen(FRESH_MS),
    failed: (error) => log.error({ err: error }, 'streams are not brought up to date'),
  });
  closers.add(() => hub.close());
  const looks = new Looks({
    clock: steady,
    wall: clock,
    nameOf: displayNames(view),
    isAllowed: (look) => mayLook(look, services),
  });
  tellLooks({ looks, audit, events, log });
  closers.add(() => looks.close());
  const people = new People({
    data,
    view,
    decisions,
    files: new FileTokens(data, (name) => view.get('revokedFiles', name) !== undefined),
    endLooks: () => looks.endForbidden(),
    sessions: ({ byOwner }) =>
      new Sessions({
        file: path.join(data, 'sessions.json'),
        clock: latest.now,
        isValid: (owner) => byOwner(owner) !== undefined,
        holderOf: (owner) => byOwner(owner)?.name,
        log,
        copy: shared?.sessions,
      }),
    clock,
    endClock: latest.now,
    log,
    copies: shared?.files,
  });
  closers.add(() => people.close());
  await shared?.keepFiles();
  const signInWays = await SignInWays.open({ file: signInFile, log, clock });
  people.askElsewhere(signInWays);
  const firstPassword = await (options.resetAdmin ? resetFirstUser : makeFirstUser)({
    view,
    decisions,
    clock,
    audit,
    firstPassword: people.firstPassword,
  });
  const findings = new Findings({ looks, clock, steady, log, whereIs: whereabouts(inventory) });
  closers.add(() => findings.close());
  const tests = new PolicyTests({ live, send: (node, message) => agents?.send(node, message), clock, log });
  let open = true;
  const services: Services = {
    view,
    live,
    decisions,
    storeState: () => store.state(),
    leadership,
    startedAt: new Date(clock()).toISOString(),
    planning,
    statuses,
    inventory,
    audit,
    auditCheck,
    syslog,
    events,
    observer,
    agentEvents,
    nodeParts,
    refusals,
    streams: new Map(),
    authority,
    log,
    scrapes: new Scrapes(),
    loopDelay,
    clock,
    endClock: latest.now,
    people,
    sessions: people.sessions,
    signInWays,
    tickets: new Tickets(clock),
    tries: new Tries(),
    refusedSignIns,
    refused,
    history,
    ...boards,
    paths,
    hub,
    walks: new Walks(clock),
    looks,
    decoders: new Decoders(),
    findings,
    certificate,
    proxies,
    console: options.console ?? findConsole(),
    ready: () => open && planning.planned !== undefined,
    tests,
    dismiss: (node) => agents?.dismiss(node),
    revoked: (node) => {
      live.admission(node, true);
      agents?.cutOff(node, 'revoked');
      planning.request();
    },
    enrolled: (node) => {
      live.admission(node, false);
      agents?.cutOff(node, 'superseded');
    },
  };
  void events.note(started());
  if (leadership) {
    void events.note(leads(leadership));
  }
  const ends = new PolicyEnds({ view, decisions, planning, audit, events, clock, endClock: latest.now, steady, log });
  closers.add(() => ends.close());
  closers.add(watchAuthority({ authority, events, log, clock }));
  planning.request();
  planning.requestAfterGrace();
  await planning.settled();
  const apps = listen.map((address) => {
    const app = buildApp(services, 'scheme' in address && address.scheme === 'https' ? certificate : undefined);
    closers.add(() => app.close());
    return { app, address };
  });
  leadership?.onDoubt(() => endStreams(services));
  // The app for clients of other controllers does not listen itself.
  const tunnelled = leadership && buildApp(services);
  closers.add(() => tunnelled?.close());
  // What takes time is done before clients have to wait for it.
  await Promise.all([...apps.map(({ app }) => app), tunnelled].map((app) => app?.ready()));
  agents = await AgentServer.open(services, agentListen, leadership?.beforeListening);
  closers.add(() => agents?.close());
  // The observer closes before the agents' port, because the disconnection of agents at the end is
  // no event.
  closers.add(() => observer.close());
  if (leadership && tunnelled) {
    serveTunnelled(tunnelled, leadership);
  }
  const addresses: string[] = [];
  for (const { app, address } of apps) {
    addresses.push(await listenOn(app, address));
    if (isInsecure(address)) {
      reportInsecure(addresses.at(-1)!, { events, log });
    }
  }
  closers.add(() => {
    open = false;
    stopping.begin();
    leadership?.followers.leave();
    tests.close();
  });
  log.info({ addresses, agentPort: agents.port, data, fingerprint: authority.ofApi.fingerprint }, 'controller started');
  const first =
    firstPassword === undefined ? {} : { firstPassword: { password: firstPassword, file: people.firstPassword.file } };
  return { addresses, agentPort: agents.port, planningFor: () => planning.runningFor(), ...first };
}

function started(): EventDraft {
  const controller = { kind: 'controller', name: 'controller' } as const;
  return { kind: 'controllerStarted', object: controller, message: 'the controller was started', cause: controller };
}

function leads({ term, controllers: { self } }: Leadership): EventDraft {
  const controller = { kind: 'controller', name: 'controller' } as const;
  const message = `the controller ${self.host} (${self.agents}) leads from now on: term ${term}`;
  return { kind: 'leaderChanged', object: controller, message, cause: controller };
}

/** Lets other controllers hand clients of the API on to this one. @param app is ready */
function serveTunnelled(app: FastifyInstance, { tunnels }: Leadership): void {
  // A server that does not listen looks after no time limits of requests, unless it believes that it
  // does.
  app.server.emit('listening');
  tunnels.serve('api', app.server);
}

/** Makes the data directory. @throws Error with what is wrong with it */
export function prepareFolder(data: string): void {
  try {
    // An existing folder keeps its mode, because it may be shared. Each file is readable by its
    // owner only.
    const made = mkdirSync(data, { recursive: true, mode: 0o700 });
    // New folders are synced too: otherwise a power failure could remove the folder with
    // acknowledged data.
    for (let folder = path.resolve(data); made && folder.length >= path.resolve(made).length; ) {
      folder = path.dirname(folder);
      syncFolder(folder);
    }
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK);
    // It has keys, tokens and policies.
    requireOwnFolder(data);
  } catch (error) {
    throw new Error(`cannot use the data directory ${data}: ${(error as Error).message}`);
  }
}

const listenTextResolver = () => 'api listens';

async function listenOn(app: FastifyInstance, address: ListenAddress): Promise<string> {
  try {
    if ('path' in address) {
      requireNotReplaceable(address.path);
      await clearSocket(address.path);
      await app.listen({ path: address.path, backlog: ACCEPT_QUEUE, listenTextResolver });
      // A client that connects before this line still needs the token.
      chmodSync(address.path, 0o600);
      return formatListen(address);
    }
    // By name, fastify would make a server for each address, of which it returns one.
    const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
    await app.listen({ host, port: address.port, backlog: ACCEPT_QUEUE, listenTextResolver });
    const bound = app.server.address();
    const port = typeof bound === 'object' && bound ? bound.port : address.port;
    return formatListen({ ...address, port });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === undefined ? error : listenError(error, address);
  }
}
