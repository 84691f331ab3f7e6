/**
 * The agent's side of the controller link: a WebSocket over mutual TLS. The agent dials again after
 * each end.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import {
  type AgentMessage,
  CLOSE_SECOND_AGENT,
  CONTROLLER_NAME,
  ControllerMessage,
  type CountersSavedMessage,
  type EventsTakenMessage,
  NOT_REGISTERED,
  type NodeProgram,
  REFUSED_HEADER,
  type TestsMessage,
} from '@mirrorplane/contract';
import { type RawData, WebSocket } from 'ws';
import { type Logger, reason } from '../log.ts';
import { textsOf } from './message-parts.ts';

/**
 * The certificate of this node, its key, and the authority of the controller's certificate, all
 * PEM.
 */
export interface Credentials {
  key: string;
  certificate: string;
  authority: string;
}

interface SyncEvents {
  /** A program came. */
  program: [NodeProgram];
  /** The tests of this node. */
  tests: [TestsMessage];
  /** The controller has received events. */
  eventsTaken: [EventsTakenMessage];
  /** The controller no longer has this node. */
  dismissed: [];
  /** The controller has saved totals that include counters of this agent. */
  countersSaved: [CountersSavedMessage];
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
   * Default 5000.
   */
  ping: number;
}

const TIMING: SyncTiming = { backoffMin: 200, backoffMax: 10_000, backoffSecond: 60_000, ping: 5000 };
/**
 * Unanswered pings are counted, not seconds: an agent that was busy itself must not give up its
 * controller.
 */
const MAX_UNANSWERED = 3;
/** Milliseconds for TCP, TLS and the upgrade together. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Bytes. A program of 100,000 captures has some 25 MB. */
const MAX_PAYLOAD = 64 << 20;
/** From this many unsent bytes on, counters are left out: the next report has newer ones. */
const CONGESTED = 1 << 20;

/**
 * Keeps one connection to the controller. Nothing is queued, because the agent sends its whole
 * state on each connect.
 */
export class SyncClient extends EventEmitter<SyncEvents> {
  readonly #url: string;
  #credentials: Credentials;
  readonly #greeting: () => AgentMessage[];
  readonly #log: Logger;
  readonly #timing: SyncTiming;
  #socket: WebSocket | undefined;
  #wait: number;
  #redial: NodeJS.Timeout | undefined;
  #lastFailure = '';
  #closed = false;

  /**
   * @param options.controller HOST:PORT
   * @param options.greeting the first messages on every connect, beginning with hello
   */
  constructor(options: {
    controller: string;
    credentials: Credentials;
    greeting: () => AgentMessage[];
    log: Logger;
    timing?: Partial<SyncTiming>;
  }) {
    super();
    this.#url = `wss://${options.controller}/sync`;
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

  #dial(): void {
    if (this.#closed) {
      return;
    }
    const socket = new WebSocket(this.#url, {
      ...tlsOf(this.#credentials),
      maxPayload: MAX_PAYLOAD,
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#socket = socket;
    let opened = false;
    let failure = '';
    keepAlive(socket, this.#timing.ping);
    socket.on('open', () => {
      opened = true;
      this.#lastFailure = '';
      this.#log.info({ controller: this.#url }, 'connected to the controller');
      for (const message of this.#greeting()) {
        this.send(message);
      }
      this.emit('connected');
    });
    socket.on('message', (data) => this.#receive(data));
    socket.on('error', (error) => {
      failure ||= reason(error) || String((error as NodeJS.ErrnoException).code);
    });
    socket.on('unexpected-response', (_request, response) => {
      if (response.statusCode === 401 && response.headers[REFUSED_HEADER] === NOT_REGISTERED) {
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
      this.#lost(opened, longest, failure || `closed by the controller: ${code} ${text.toString()}`.trim());
    });
  }

  #lost(opened: boolean, longest: number, why: string): void {
    // An absent controller is logged once, not with every attempt.
    if (opened || why !== this.#lastFailure) {
      const message = opened ? 'connection to the controller lost' : 'controller cannot be reached';
      this.#log.warn({ controller: this.#url, reason: why }, message);
    }
    this.#lastFailure = why;
    if (opened) {
      this.emit('disconnected');
    }
    const wait = this.#wait / 2 + Math.random() * (this.#wait / 2);
    this.#wait = Math.min(this.#wait * 2, longest);
    this.#redial = setTimeout(() => this.#dial(), wait);
  }

  #receive(data: RawData): void {
    let message: ReturnType<typeof ControllerMessage.safeParse>;
    try {
      message = ControllerMessage.safeParse(JSON.parse(data.toString()));
    } catch {
      this.#log.error('message of the controller is not JSON');
      return;
    }
    if (!message.success) {
      const issue = message.error.issues[0];
      const field = issue?.path.join('.');
      this.#log.error({ field, reason: issue?.message }, 'message of the controller has a wrong form');
      return;
    }
    // Only a real message resets the wait. A controller that refuses at once must not get many
    // attempts.
    this.#wait = this.#timing.backoffMin;
    if (message.data.type === 'program') {
      this.emit('program', message.data.program);
    } else if (message.data.type === 'tests') {
      this.emit('tests', message.data);
    } else if (message.data.type === 'eventsTaken') {
      this.emit('eventsTaken', message.data);
    } else {
      this.emit('countersSaved', message.data);
    }
  }
}

function tlsOf({ key, certificate, authority }: Credentials): ConnectionOptions {
  return { key, cert: certificate, ca: authority, servername: CONTROLLER_NAME, minVersion: 'TLSv1.3' };
}

/** Pings from when the connection is open, and ends it if nothing comes any more. */
function keepAlive(socket: WebSocket, intervalMs: number): void {
  let unanswered = 0;
  let timer: NodeJS.Timeout | undefined;
  const sign = () => {
    unanswered = 0;
  };
  socket.on('open', () => {
    sign();
    timer = setInterval(() => {
      if (unanswered++ >= MAX_UNANSWERED) {
        socket.terminate();
      } else {
        socket.ping();
      }
    }, intervalMs);
  });
  for (const event of ['pong', 'ping', 'message'] as const) {
    socket.on(event, sign);
  }
  socket.on('close', () => clearInterval(timer));
}

/** Reads the first 500 characters of an answer, and calls `done` at its end. */
function readText(response: IncomingMessage, done: (text: string) => void): void {
  let text = '';
  response.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(0, 500);
  });
  response.once('close', () => done(text));
}
