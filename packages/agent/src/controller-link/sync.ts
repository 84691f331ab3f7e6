/**
 * The agent's side of the controller link: a WebSocket over mutual TLS. The agent dials again after
 * each end.
 */
import { EventEmitter } from 'node:events';
import {
  type AgentMessage,
  type AuthorityMessage,
  asItCame,
  type CertificateMessage,
  CLOSE_NO_LEADER,
  CLOSE_SECOND_AGENT,
  ControllerMessage,
  type CountersSavedMessage,
  DISMISSED,
  type EventsTakenMessage,
  type LeaderMessage,
  type LookOrder,
  type NodeProgram,
  type ProgramDifference,
  type ProgramDifferenceMessage,
  type ProgramMessage,
  REFUSED_HEADER,
  type ReportingMessage,
  type TestsMessage,
} from '@mirrorplane/contract';
import { type RawData, WebSocket } from 'ws';
import { type Logger, reason } from '../log.ts';
import {
  type Credentials,
  connectSoon,
  HANDSHAKE_TIMEOUT_MS,
  keepAlive,
  LEAST_HANDSHAKE_MS,
  readText,
  tlsOf,
} from './connection.ts';
import { KnownControllers } from './controllers.ts';
import { textsOf } from './message-parts.ts';

interface SyncEvents {
  /** A program came. */
  program: [NodeProgram];
  /** What has changed of the program came. Undefined: it cannot be read. */
  programDifference: [ProgramDifference | undefined];
  /** The controller asks for the parts of the program. */
  partsWanted: [];
  /** The tests of this node. */
  tests: [TestsMessage];
  /** The controller has received events. */
  eventsTaken: [EventsTakenMessage];
  /** A new certificate for this node. */
  certificate: [CertificateMessage];
  /** The authorities to trust. */
  authority: [AuthorityMessage];
  /** The node shall not copy any more: it is deleted, revoked, or has enrolled elsewhere. */
  dismissed: [];
  /** The controller has saved totals that include counters of this agent. */
  countersSaved: [CountersSavedMessage];
  /** How to report on this connection. */
  reporting: [ReportingMessage];
  /** All looks that this node shall have. */
  looks: [LookOrder[]];
  /** A controller was refused, because another one leads. */
  outdated: [{ controller: string; term: number; known: number }];
  connected: [];
  disconnected: [];
}

/** Intervals in milliseconds. Tests shorten them. */
export interface SyncTiming {
  /**
   * First and longest wait before the next attempt. The wait doubles, and up to a half is left out
   * at random. Default 200 and 10000.
   */
  backoffMin: number;
  backoffMax: number;
  /** Longest wait if the node has another agent. Default 60000. */
  backoffSecond: number;
  /**
   * Interval of pings. After `MAX_UNANSWERED` pings without any message, the connection is closed.
   * Default 5000, and where there are several controllers `pingSeveral`, 1000.
   */
  ping: number;
  pingSeveral: number;
}

const TIMING: SyncTiming = {
  backoffMin: 200,
  backoffMax: 10_000,
  backoffSecond: 60_000,
  ping: 5000,
  pingSeveral: 1000,
};
/** Milliseconds before the next one of several controllers is tried. */
const NEXT_MS = 20;
/** Bytes. A program of 100,000 captures has some 25 MB. */
const MAX_PAYLOAD = 64 << 20;
/** From this many unsent bytes on, counters are left out: the next report has newer ones. */
const CONGESTED = 1 << 20;

/**
 * Keeps one connection to the controller. Nothing is queued, because the agent sends its whole
 * state on each connect.
 */
export class SyncClient extends EventEmitter<SyncEvents> {
  readonly #controllers: KnownControllers;
  #credentials: Credentials;
  readonly #greeting: () => AgentMessage[];
  readonly #log: Logger;
  readonly #timing: SyncTiming;
  #socket: WebSocket | undefined;
  #wait: number;
  #redial: NodeJS.Timeout | undefined;
  /** By controller. */
  readonly #lastFailures = new Map<string, string>();
  /** The interval of pings on the present connection has changed. */
  #paceChanged: () => void = () => undefined;
  #closed = false;

  /**
   * @param options.controller HOST:PORT, or several controllers of which one leads
   * @param options.greeting the first messages on every connect, beginning with hello
   */
  constructor(options: {
    controller: string | KnownControllers;
    credentials: Credentials;
    greeting: () => AgentMessage[];
    log: Logger;
    timing?: Partial<SyncTiming>;
  }) {
    super();
    const { controller, log } = options;
    this.#controllers = typeof controller === 'string' ? KnownControllers.of([controller], log) : controller;
    this.#credentials = options.credentials;
    this.#greeting = options.greeting;
    this.#log = options.log;
    this.#timing = { ...TIMING, ...options.timing };
    this.#wait = this.#timing.backoffMin;
  }

  /** True while messages reach the controller. */
  get connected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** True while the controller reads more slowly than the agent writes. */
  get congested(): boolean {
    return (this.#socket?.bufferedAmount ?? 0) > CONGESTED;
  }

  /** Dials, and dials again until `close()`. */
  start(): void {
    this.#dial();
  }

  /** Uses other credentials from the next connection on. The current connection stays. */
  use(credentials: Credentials): void {
    this.#credentials = credentials;
  }

  /** Sends a message if there is a connection. */
  send(message: AgentMessage): void {
    if (!this.connected) {
      return;
    }
    for (const text of textsOf(message)) {
      this.#socket?.send(text);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#redial);
    this.#socket?.terminate();
    this.removeAllListeners();
  }

  /** It doubles with the wait, from round to round. */
  get #handshakeMs(): number {
    const rounds = this.#wait / this.#timing.backoffMin;
    return Math.min(HANDSHAKE_TIMEOUT_MS, LEAST_HANDSHAKE_MS * rounds);
  }

  #dial(): void {
    if (this.#closed) {
      return;
    }
    const { areSeveral, current: controller } = this.#controllers;
    const socket = new WebSocket(`wss://${controller}/sync`, {
      ...tlsOf(this.#credentials),
      ...(areSeveral && { createConnection: (options: object) => connectSoon(options) }),
      maxPayload: MAX_PAYLOAD,
      perMessageDeflate: false,
      handshakeTimeout: areSeveral ? this.#handshakeMs : HANDSHAKE_TIMEOUT_MS,
    });
    this.#socket = socket;
    let opened = false;
    let failure = '';
    this.#paceChanged = keepAlive(socket, () =>
      this.#controllers.areSeveral ? this.#timing.pingSeveral : this.#timing.ping,
    );
    socket.on('open', () => {
      opened = true;
      this.#lastFailures.clear();
      this.#log.info({ controller }, 'connected to the controller');
      for (const message of this.#greeting()) {
        this.send(message);
      }
      this.emit('connected');
    });
    socket.on('message', (data) => this.#receive(socket, data));
    socket.on('error', (error) => {
      failure ||= reason(error) || String((error as NodeJS.ErrnoException).code);
    });
    socket.on('unexpected-response', (_request, response) => {
      if (response.statusCode === 401 && isDismissed(response.headers[REFUSED_HEADER])) {
        this.emit('dismissed');
      }
      // The body has the reason of the refusal.
      readText(response, (body) => {
        failure = `HTTP ${response.statusCode}: ${body.trim()}`;
        socket.terminate();
      });
    });
    socket.on('close', (code, text) => {
      if (this.#socket === socket) {
        this.#socket = undefined;
      }
      if (this.#closed) {
        return;
      }
      const { backoffMax, backoffSecond } = this.#timing;
      const longest = code === CLOSE_SECOND_AGENT ? backoffSecond : backoffMax;
      this.#lost(
        { controller, opened },
        longest,
        failure || `closed by the controller: ${code} ${text.toString()}`.trim(),
      );
    });
  }

  #lost({ controller, opened }: { controller: string; opened: boolean }, longest: number, why: string): void {
    // An absent controller is logged once, not with every attempt.
    if (opened || why !== this.#lastFailures.get(controller)) {
      const message = opened ? 'connection to the controller lost' : 'controller cannot be reached';
      this.#log.warn({ controller, reason: why }, message);
    }
    this.#lastFailures.set(controller, why);
    if (opened) {
      this.emit('disconnected');
    }
    if (this.#controllers.next()) {
      this.#redial = setTimeout(() => this.#dial(), NEXT_MS);
      return;
    }
    this.#controllers.again();
    const wait = this.#wait / 2 + Math.random() * (this.#wait / 2);
    this.#wait = Math.min(this.#wait * 2, longest);
    this.#redial = setTimeout(() => this.#dial(), wait);
  }

  #receive(socket: WebSocket, data: RawData): void {
    if (socket.readyState !== WebSocket.OPEN) {
      // What a controller that was refused has sent before it knew.
      return;
    }
    let raw: unknown;
    let message: ReturnType<typeof ControllerMessage.safeParse>;
    try {
      raw = JSON.parse(data.toString());
      message = ControllerMessage.safeParse(raw);
    } catch {
      this.#log.error('message of the controller is not JSON');
      return;
    }
    if (!message.success) {
      const issue = message.error.issues[0];
      const field = issue?.path.join('.');
      this.#log.error({ field, reason: issue?.message }, 'message of the controller has a wrong form');
      if ((raw as { type?: unknown } | null)?.type === 'programDifference') {
        this.emit('programDifference', undefined);
      }
      return;
    }
    // Only a real message resets the wait. A controller that refuses at once must not get many
    // attempts.
    this.#wait = this.#timing.backoffMin;
    if (message.data.type === 'leader') {
      this.#learn(socket, message.data);
      return;
    }
    this.#controllers.reached();
    if (message.data.type === 'program') {
      const { program } = raw as ProgramMessage;
      this.emit('program', asItCame(program, message.data.program));
    } else if (message.data.type === 'programDifference') {
      const { difference } = raw as ProgramDifferenceMessage;
      this.emit('programDifference', asItCame(difference, message.data.difference));
    } else if (message.data.type === 'partsWanted') {
      this.emit('partsWanted');
    } else if (message.data.type === 'certificate') {
      this.emit('certificate', message.data);
    } else if (message.data.type === 'authority') {
      this.emit('authority', message.data);
    } else if (message.data.type === 'tests') {
      this.emit('tests', message.data);
    } else if (message.data.type === 'eventsTaken') {
      this.emit('eventsTaken', message.data);
    } else if (message.data.type === 'looks') {
      this.emit('looks', message.data.looks);
    } else if (message.data.type === 'reporting') {
      this.emit('reporting', message.data);
    } else {
      this.emit('countersSaved', message.data);
    }
  }

  #learn(socket: WebSocket, message: LeaderMessage): void {
    const { current: controller, term: known, areSeveral } = this.#controllers;
    if (this.#controllers.learn(message)) {
      this.#controllers.reached();
      if (this.#controllers.areSeveral !== areSeveral) {
        this.#paceChanged();
      }
      return;
    }
    const { term } = message;
    this.#log.error({ controller, term, known }, 'a controller was refused that does not lead any more');
    this.emit('outdated', { controller, term, known });
    socket.close(CLOSE_NO_LEADER, 'another controller leads');
    setTimeout(() => socket.terminate(), 1000).unref();
  }
}

/** Whether a refusal means that the node shall not copy any more. */
function isDismissed(reason: string | string[] | undefined): boolean {
  return DISMISSED.some((one) => one === reason);
}
