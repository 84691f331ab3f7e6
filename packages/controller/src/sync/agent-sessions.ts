/**
 * The connections of agents: decides which one belongs to its node, and passes their messages on.
 */
import { inTurns } from '@mirrorplane/base';
import {
  COUNTER_INTERVAL_MS,
  type ControllerMessage,
  type CounterReading,
  type HeardCounters,
  type NodeProgram,
} from '@mirrorplane/contract';
import { programDigest } from '@mirrorplane/contract/program-digest';
import type { WebSocket } from 'ws';
import { originOf } from '../auth/origin.ts';
import type { Services } from '../services.ts';
import { policyNames } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
import { BadMessages } from './bad-messages.ts';
import { counterJudge, refusedCountersMessage } from './counter-judge.ts';
import { Leading } from './leading.ts';
import { LookOrders } from './look-orders.ts';
import { Renewals } from './renewals.ts';
import { ReportTurns } from './report-turns.ts';
import { CLOSE, type Peer, Session } from './session.ts';
import { watchEnds } from './session-ends.ts';

/** Milliseconds that a node's agent has to answer after another agent has connected. */
const ANSWER_MS = 3000;
/** Characters of what is wrong with a message: an agent may have chosen them. */
const MAX_PROBLEM = 300;

/** Agents whose long reports wait: with more of them, all have come at once, after a start for example. */
const BURST = 20;

/** Why a node is cut off, and what its agent is told. */
const CUT_OFF = {
  deleted: 'the node is deleted',
  revoked: 'the node is revoked',
  superseded: 'the node has enrolled again',
} as const satisfies Partial<Record<keyof typeof CLOSE, string>>;
export type CutOff = keyof typeof CUT_OFF;

export class AgentSessions {
  readonly #services: Services;
  /** Sessions that are not accepted yet. */
  readonly #pending = new Set<Session>();
  /** The session of each node: the first one, while its agent answers. */
  readonly #sessions = new Map<string, Session>();
  /** By session: the agent that had its node and did not answer. */
  readonly #silent = new WeakMap<Session, Session>();
  readonly #looks: LookOrders;
  readonly #renewals: Renewals;
  readonly #turns = new ReportTurns();
  readonly #bad = new BadMessages();
  readonly #leading: Leading;
  readonly #stopWatching: () => void;
  readonly #endLooks: (node: string, code: number, why: string) => void;

  /** @param endLooks ends the connection for looks of a node, with a close code and a reason */
  constructor(services: Services, endLooks: (node: string, code: number, why: string) => void) {
    this.#services = services;
    this.#endLooks = endLooks;
    this.#renewals = new Renewals(services);
    this.#leading = new Leading(services.leadership);
    this.#leading.onMayTell(() => {
      for (const session of this.#sessions.values()) {
        session.mayTellAgain();
      }
      void this.#sendPrograms();
    });
    this.#leading.onChange(() => {
      for (const session of this.#sessions.values()) {
        this.#leading.tell(session);
      }
    });
    this.#stopWatching = watchEnds(services, {
      sessions: () => this.#all(),
      ended: (session, why) => this.#end(session, 'certificateEnded', why),
      changed: (sessions) => this.#renewals.tell(sessions),
    });
    services.live.counters.pace.onLook((node) => this.#sessions.get(node)?.orders.every(COUNTER_INTERVAL_MS.least));
    this.#looks = new LookOrders(services, (node, looks) => this.#sessions.get(node)?.sendLooks(looks) ?? false);
    services.planning.onPlanned(() => this.#sendPrograms());
    services.planning.waitDuring(() => this.#turns.waiting > BURST);
  }

  /** Agents of which a long report waits for its turn. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  /** Begins a session on an open connection. */
  begin(webSocket: WebSocket, peer: Peer): Session {
    const { live, observer, agentEvents, planning, view, log } = this.#services;
    const session: Session = new Session(webSocket, peer, {
      live,
      observer,
      agentEvents,
      log,
      turns: this.#turns,
      admits: (asking) => this.#admit(asking),
      rival: (decided) => this.#rival(decided),
      mayTell: () => this.#leading.mayTell,
      onHello: (greeted) => this.#join(greeted),
      onRejected: (rejected, message) => this.#reject(rejected, message),
      onBadMessage: (sender, problem) => this.#refuseMessage(sender, problem),
      onCounters: (counting, message) => this.#count(counting, message),
      onInventory: () => planning.request(),
      onTestReport: (message) => this.#services.tests.report(session.node, message),
      onConfirmed: () => planning.confirmed(),
      onRenewal: (message) => this.#renewals.take(session, message),
      onLooksRefused: (node, refused) => this.#looks.refused(node, refused),
      policyNames: () => policyNames(view),
      onClose: (closed) => this.#leave(closed),
    });
    this.#pending.add(session);
    webSocket.on('close', () => this.#pending.delete(session));
    return session;
  }

  /** Number of connections of the node, including those that are not accepted yet. */
  countOf(node: string): number {
    const pending = [...this.#pending].filter((session) => session.node === node).length;
    return pending + (this.#sessions.has(node) ? 1 : 0);
  }

  /** Milliseconds until an agent of a node may connect again that has sent bad messages. 0: it may. */
  pauseOf(node: string, address: string): number {
    return Math.max(this.#bad.pauseOf(node), this.#bad.pauseOf(strangerOf(node, address)));
  }

  /** Totals with this reading are on disk. Acknowledges them to the agent, if it is connected. */
  countersSaved(node: string, reading: CounterReading): void {
    this.#sessions.get(node)?.countersSaved(reading);
  }

  /** Sends a message to the agent of a node, if it is connected. */
  send(node: string, message: ControllerMessage): void {
    this.#sessions.get(node)?.tell(message);
  }

  /** The node is deleted: sends an empty program to its agent, and ends the session. */
  dismiss(node: string): void {
    this.cutOff(node, 'deleted');
    this.#services.live.delete(node);
    this.#services.nodeParts.forget(node);
    this.#services.events.forget(node);
    this.#services.planning.request();
  }

  /** Ends the sessions of a node at once. Its agent gets an empty program, and nothing more. */
  cutOff(node: string, why: CutOff): void {
    this.#renewals.forget(node);
    this.#bad.forget(node);
    this.#sessions.get(node)?.sendEmpty();
    for (const session of this.#all().filter((one) => one.node === node)) {
      this.#end(session, why, CUT_OFF[why]);
    }
  }

  /** Ends a session, and the connection for looks of its node. */
  #end(session: Session, code: keyof typeof CLOSE, why: string): void {
    session.close(CLOSE[code], why);
    this.#endLooks(session.node, CLOSE[code], why);
    if (code === 'deleted') {
      this.#sessions.delete(session.node);
    } else {
      this.#leave(session);
    }
  }

  /** Ends all sessions, because the controller stops. */
  close(): void {
    this.#stopWatching();
    this.#renewals.close();
    for (const session of this.#all()) {
      session.close(CLOSE.goingAway, 'the controller stops');
    }
  }

  /** Sends each node its planned program, unless it has it. Later, where it is not sure that this controller leads. */
  async #sendPrograms(): Promise<void> {
    await inTurns(this.#sendInSteps());
  }

  *#sendInSteps(): Generator<undefined> {
    const { planning } = this.#services;
    for (const [node, session] of this.#sessions) {
      if (!this.#leading.mayTell) {
        return;
      }
      // Nearly all have it.
      if (session.programRevision === planning.planned?.programs.get(node)?.revision) {
        continue;
      }
      const program = this.#programOf(node);
      if (program) {
        this.#services.nodeParts.learn(node, program);
        session.send(program);
        yield;
      }
    }
  }

  /**
   * The planned program of a node, if it may have it. A plan that was made before the hello may know of
   * an earlier revision. One from before the node was deleted and registered again has a number that the
   * store does not know any more, and that another program may get.
   */
  #programOf(node: string): NodeProgram | undefined {
    const { planning, live, view } = this.#services;
    const program = planning.planned?.programs.get(node);
    const stored = view.get('programs', node)?.value;
    if (program === undefined || program.revision < (live.get(node)?.appliedRevision ?? 0)) {
      return undefined;
    }
    return stored?.revision === program.revision && stored.digest === programDigest(program) ? program : undefined;
  }

  /** Whether an agent is connected. */
  get areOpen(): boolean {
    return this.#pending.size > 0 || this.#sessions.size > 0;
  }

  #all(): Session[] {
    return [...this.#pending, ...this.#sessions.values()];
  }

  /** Why a session is refused. Undefined: it is accepted. One node has one agent. */
  #admit(session: Session): string | undefined | Promise<string | undefined> {
    const refusal = this.#leading.refusal(session);
    return refusal === undefined ? this.#rival(session) : refusal.then((why) => why ?? this.#rival(session));
  }

  /** Compares a session with the agent that has the node, unless it was asked already and was silent. */
  #rival(session: Session): Promise<string | undefined> | undefined {
    const older = this.#sessions.get(session.node);
    const isRival = older && older !== session && this.#silent.get(session) !== older;
    return isRival ? this.#compare(session, older) : undefined;
  }

  async #compare(session: Session, older: Session): Promise<string | undefined> {
    if (!(await older.answers(ANSWER_MS))) {
      this.#silent.set(session, older);
      return this.#rival(session);
    }
    const { node } = session;
    const { live, observer, log } = this.#services;
    const places = `the agent at ${older.peer.address} serves this node, and another agent at ${session.peer.address}`;
    const message = `${places} was refused: stop one of the two, or register its host as another node`;
    const problem = { code: 'NODE_SECOND_AGENT', message };
    if (live.secondAgent(node, problem)) {
      log.warn({ node, address: session.peer.address, problem: message }, 'agent rejected');
      observer.rejected(node, problem);
    }
    // At most 123 bytes, also with two IPv6 addresses.
    return `one more agent: ${older.peer.address} has the node, ${session.peer.address} is refused`.slice(0, 120);
  }

  /** An agent has shown a certificate that is older than the one of its node. */
  contested(node: string, address: string, why: string): void {
    const { live, observer, log } = this.#services;
    const problem = { code: 'CERTIFICATE_CONTESTED', message: `an agent at ${address} was refused: ${why}` };
    if (live.contested(node, problem)) {
      log.warn({ node, address, problem: why }, 'agent rejected');
      observer.rejected(node, problem);
    }
  }

  #reject({ peer: { node, address } }: Session, message: string): void {
    const { live, observer, log } = this.#services;
    const problem = { code: 'PROTOCOL_UNSUPPORTED', message };
    if (live.reject(node, problem)) {
      log.warn({ node, address, problem: message }, 'agent rejected');
      observer.rejected(node, problem);
    }
  }

  #refuseMessage(session: Session, problem: string): void {
    const { live, observer, log } = this.#services;
    const { node, address } = session.peer;
    // Who has a copy of a certificate may not keep the agent of the node away.
    this.#bad.add(this.#sessions.get(node) === session ? node : strangerOf(node, address));
    const message = `a message of the agent cannot be taken: ${problem.slice(0, MAX_PROBLEM)}`;
    log.warn({ node, problem }, 'agent sent a bad message');
    if (live.badMessage(node, { code: 'MESSAGES_REFUSED', message })) {
      observer.rejected(node, { code: 'MESSAGES_REFUSED', message });
    }
  }

  #count({ node: name, orders }: Session, report: HeardCounters): void {
    const { live, observer, nodeParts, planning, view, clock, log } = this.#services;
    const node = live.get(name);
    if (!node) {
      return;
    }
    const judge = counterJudge({
      program: planning.planned?.programs.get(name),
      hasInterface: (id) => live.claims.hasHad(name, id),
      hasClaimed: (id) => live.claims.hasClaimed(name, id),
      wasTold: (id) => nodeParts.wasTold(name, id),
      unseen: node.unseen,
      mayBring: (uid) => node.unseen || (node.isFirst && !isYounger(view, uid, name)),
      hasPart: (uid) => nodeParts.hasPolicy(name, uid) || !planning.planned?.policies.has(uid),
      policyOf: (uid) => policyOf(view, uid),
      readBefore: node.completeAt ?? (node.countersAt === undefined ? undefined : Date.parse(node.countersAt)),
      now: clock(),
    });
    const message = refusedCountersMessage(live.counters.take(name, report, judge, planning.planned !== undefined));
    live.counters.pace.shareAmong(this.#sessions.size);
    orders.every(live.counters.pace.of(name));
    if (node.counters.isIncomplete) {
      orders.incomplete(performance.now());
    }
    live.counters.judgeForged(name, report, (other) => planning.planned?.programs.get(other)?.revision);
    if (live.counters.refused(name, message)) {
      log.warn({ node: name, problem: message }, 'counters refused');
      observer.countersRefused(name, message!);
    }
  }

  #join(session: Session): void {
    const { node } = session;
    this.#pending.delete(session);
    if (!this.#services.view.get('nodes', node)) {
      // The node was deleted between the upgrade and the hello.
      this.#services.live.delete(node);
      session.close(CLOSE.deleted, 'the node is deleted');
      return;
    }
    const older = this.#sessions.get(node);
    this.#sessions.set(node, session);
    older?.close(CLOSE.replaced, 'a newer connection of the node replaced this one');
    this.#leading.tell(session);
    this.#renewals.joined(session);
    this.#services.log.info({ node }, 'agent connected');
    this.#services.observer.connected(node);
    this.#services.tests.joined(node);
    // The last planned program is sent at once, because the agent was away. Changes because of its
    // hello follow later.
    const program = this.#programOf(node);
    if (program && this.#leading.mayTell) {
      session.send(program);
    }
    this.#looks.joined(node);
    this.#services.planning.request();
  }

  #leave(session: Session): void {
    const { node } = session;
    if (this.#sessions.get(node) === session) {
      this.#sessions.delete(node);
      this.#services.live.disconnected(node);
      this.#looks.left(node);
      this.#services.log.info({ node }, 'agent disconnected');
      this.#services.observer.disconnected(node);
      this.#services.planning.request();
      this.#services.planning.requestAfterGrace();
    }
  }
}

function policyOf(view: View, uid: string): PolicyRecord | undefined {
  return storedPolicy(view, uid)?.value;
}

/** Whether the policy exists, and was made after the node was registered. */
function isYounger(view: View, uid: string, node: string): boolean {
  const [policy, record] = [storedPolicy(view, uid), view.get('nodes', node)];
  return policy !== undefined && (policy.made ?? 0) > (record?.made ?? 0);
}

function storedPolicy(view: View, uid: string): Stored<PolicyRecord> | undefined {
  for (const stored of view.all('policies').values()) {
    if (stored.value.uid === uid) {
      return stored;
    }
  }
  return undefined;
}

/** Who sends messages of a node on a connection that is not accepted, for `BadMessages`. */
const strangerOf = (node: string, address: string) => `${node} ${originOf(address)}`;
