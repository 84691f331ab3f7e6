/** One connection of an agent. Its reports go to the live state, and programs are sent to it. */
import {
  AgentMessage,
  AnyHello,
  CLOSE_SECOND_AGENT,
  type ControllerMessage,
  type CounterReading,
  type CountersMessage,
  type EventsMessage,
  emptyProgram,
  type Hello,
  MAX_HELLO_BYTES,
  type NodeProgram,
  SYNC_PROTOCOL,
  shapeProblem,
  type Underlay,
} from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { WebSocket } from 'ws';
import type { EventsFromAgents } from '../events/events-from-agents.ts';
import type { EventObserver } from '../events/observer.ts';
import { fieldPath } from '../problems/problems.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { TokenBucket } from '../token-bucket.ts';
import { MessageParts } from './message-parts.ts';
import { protocolProblem } from './protocol.ts';

/** WebSocket close codes of the controller. A text with the reason accompanies the code. */
export const CLOSE = {
  /** The agent sent an invalid message, or a message at the wrong time. */
  badMessage: 4000,
  /** The agent uses another version of the protocol. */
  wrongProtocol: 4001,
  /** The name in the hello differs from the name in the certificate. */
  wrongNode: 4002,
  /** A newer connection of the same node has replaced this one. */
  replaced: 4003,
  /** The node was deleted. */
  deleted: 4004,
  /** No hello came in time. */
  silent: 4005,
  /** The node has another agent that answers. */
  secondAgent: CLOSE_SECOND_AGENT,
  /** The controller stops. */
  goingAway: 1001,
} as const;

/** Milliseconds to wait for a hello, and below it between two pings. */
export const HELLO_TIMEOUT_MS = 10_000;
export const PING_INTERVAL_MS = 10_000;
/** A connection with this many unanswered pings is dead. */
export const MAX_MISSED_PINGS = 3;

/**
 * CPU time of the controller for one node, milliseconds: `reserve` at once, and `perSecond` in each
 * second. Beyond it, the node's messages wait in its socket.
 */
const BUSY = { reserve: 1000, perSecond: 250 };
/**
 * Inventories of a node that request planning: `reserve` at once, and `perSecond` in each second.
 * Others wait for the next second.
 */
const INVENTORIES = { reserve: 50, perSecond: 5 };

/** The other end of a connection. */
export interface Peer {
  /** Name in its certificate. */
  node: string;
  /** Its address. */
  address: string;
  /** End of its certificate, ISO 8601. */
  certificateEndsAt: string;
}

/** Callbacks of a session. */
export interface SessionHost {
  live: LiveNodes;
  observer: EventObserver;
  agentEvents: EventsFromAgents;
  log: Logger;
  /**
   * Why the session is refused. Undefined: it is accepted. If another agent must be asked first,
   * messages wait meanwhile.
   */
  admits(session: Session): string | undefined | Promise<string | undefined>;
  /** The hello is accepted. */
  onHello(session: Session): void;
  /** The agent uses another version of the protocol. `message` has the reason of the refusal. */
  onRejected(session: Session, message: string): void;
  onCounters(session: Session, message: CountersMessage): void;
  /** Devices, underlay or other inputs of a plan may have changed. */
  onInventory(): void;
  /** The kernel of the node runs a new program. */
  onConfirmed(): void;
  /** Names of all policies by uid. */
  policyNames(): ReadonlyMap<string, string>;
  onClose(session: Session): void;
}

export class Session {
  readonly node: string;
  /** Address of the other end. */
  readonly address: string;
  /** End of the other end's certificate, ISO 8601. */
  readonly certificateEndsAt: string;
  readonly #socket: WebSocket;
  readonly #host: SessionHost;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;
  #missed = 0;
  #greeted = false;
  /** Messages that arrive before the session is accepted or refused. Undefined at other times. */
  #waiting: Buffer[] | undefined;
  #helloUnderlay: Underlay | undefined;
  #sentRevision = 0;
  readonly #parts = new MessageParts();
  readonly #busy = new TokenBucket(BUSY);
  readonly #inventories = new TokenBucket(INVENTORIES);
  #resume: NodeJS.Timeout | undefined;
  #planning: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, peer: Peer, host: SessionHost) {
    const { node, address } = peer;
    this.certificateEndsAt = peer.certificateEndsAt;
    this.#socket = socket;
    this.node = node;
    this.address = address;
    this.#host = host;
    this.#helloTimer = setTimeout(() => this.close(CLOSE.silent, 'no hello came'), HELLO_TIMEOUT_MS);
    this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('pong', () => {
      this.#missed = 0;
    });
    socket.on('error', (error) => host.log.warn({ node, err: error }, 'agent connection failed'));
    socket.on('close', () => this.#ended());
  }

  /** True after a valid hello. */
  get greeted(): boolean {
    return this.#greeted || this.#waiting !== undefined;
  }

  /** Sends a ping. Resolves with whether any message arrived within `limitMs` milliseconds. */
  answers(limitMs: number): Promise<boolean> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      const end = (answered: boolean) => {
        clearTimeout(timer);
        socket.off('pong', yes).off('message', yes).off('close', no);
        resolve(answered);
      };
      const [yes, no] = [() => end(true), () => end(false)];
      const timer = setTimeout(no, limitMs);
      socket.on('pong', yes).on('message', yes).on('close', no);
      if (socket.readyState === socket.OPEN) {
        socket.ping();
      } else {
        no();
      }
    });
  }

  /** Sends the program, unless this connection already got this revision. */
  send(program: NodeProgram): void {
    if (this.#greeted && this.#sentRevision !== program.revision && this.#socket.readyState === this.#socket.OPEN) {
      this.#sentRevision = program.revision;
      const message: ControllerMessage = { type: 'program', program };
      this.#socket.send(JSON.stringify(message));
    }
  }

  /** Tells the agent that totals with this reading are on disk. */
  countersSaved(reading: CounterReading): void {
    this.#send({ type: 'countersSaved', ...reading });
  }

  /** Sends an empty program, as the last one of this connection. */
  sendEmpty(): void {
    const { node } = this;
    const revision = Math.max(this.#sentRevision, this.#host.live.get(node)?.appliedRevision ?? 0) + 1;
    this.send(emptyProgram(node, revision));
  }

  /** Closes the connection. If the other end does not answer, the connection is destroyed. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    setTimeout(() => this.#socket.terminate(), 2000).unref();
  }

  #ping(): void {
    if (this.#missed >= MAX_MISSED_PINGS) {
      this.#host.log.warn({ node: this.node }, 'agent does not answer');
      this.#socket.terminate();
      return;
    }
    this.#missed++;
    this.#socket.ping();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#missed = 0;
    if (this.#socket.readyState !== this.#socket.OPEN) {
      return;
    }
    if (this.#waiting) {
      this.#waiting.push(data);
      return;
    }
    const began = performance.now();
    this.#read(data, isBinary);
    const wait = this.#busy.spend(performance.now() - began);
    if (wait > 0 && this.#resume === undefined) {
      this.#socket.pause();
      this.#resume = setTimeout(() => {
        this.#resume = undefined;
        this.#socket.resume();
      }, wait);
    }
  }

  #read(data: Buffer, isBinary: boolean): void {
    if (!this.#greeted && data.length > MAX_HELLO_BYTES) {
      this.#refuse(`the first message has to be a hello of at most ${MAX_HELLO_BYTES} bytes`);
      return;
    }
    const message = isBinary ? { problem: 'a message has to be text' } : parse(data.toString());
    if ('otherProtocol' in message) {
      const problem = protocolProblem(message.otherProtocol);
      this.#host.onRejected(this, problem.message);
      this.close(CLOSE.wrongProtocol, problem.reason);
      return;
    }
    if ('problem' in message) {
      this.#refuse(message.problem);
      return;
    }
    if (message.type === 'hello') {
      this.#hello(message);
    } else if (!this.#greeted) {
      this.#refuse(`the first message has to be a hello, not ${message.type}`);
    } else {
      this.#take(message);
    }
  }

  #hello(message: Hello): void {
    if (message.node !== this.node) {
      this.#host.log.warn({ node: this.node, claimed: message.node }, 'agent claims another name');
      this.close(CLOSE.wrongNode, 'the name is not that of the certificate');
    } else if (this.#greeted) {
      this.#refuse('a second hello');
    } else {
      clearTimeout(this.#helloTimer);
      const refusal = this.#host.admits(this);
      if (refusal instanceof Promise) {
        this.#waiting = [];
        this.#socket.pause();
        void refusal.then((why) => this.#decided(message, why));
      } else {
        this.#join(message, refusal);
      }
    }
  }

  /** The session has been accepted or refused. */
  #decided(message: Hello, refusal: string | undefined): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#socket.resume();
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#join(message, refusal);
      for (const data of waiting) {
        this.#receive(data, false);
      }
    }
  }

  #join(message: Hello, refusal: string | undefined): void {
    if (refusal !== undefined) {
      this.close(CLOSE.secondAgent, refusal);
      return;
    }
    this.#greeted = true;
    this.#helloUnderlay = message.underlay;
    this.#host.live.hello(message);
    this.#host.onHello(this);
  }

  #take(part: Exclude<AgentMessage, Hello>): void {
    const { live } = this.#host;
    const node = live.get(this.node);
    if (!node) {
      return;
    }
    live.heard(this.node);
    const message = this.#parts.join(part);
    if (message === undefined) {
      return;
    }
    if ('problem' in message) {
      this.#refuse(message.problem);
    } else if (message.type === 'inventory') {
      live.inventory(this.node, message, this.#helloUnderlay);
      if (node.dirty) {
        this.#plan();
      }
    } else if (message.type === 'status') {
      const isNews = live.status(this.node, message, this.#host.policyNames);
      this.#host.observer.reported(this.node);
      if (isNews) {
        this.#host.onConfirmed();
      }
    } else if (message.type === 'events') {
      void this.#keep(message);
    } else {
      this.#host.onCounters(this, message);
    }
  }

  /**
   * Requests planning within the node's limit: an agent with ever changing devices must not keep
   * the controller busy.
   */
  #plan(): void {
    const wait = this.#inventories.spend(1);
    if (wait === 0) {
      this.#host.onInventory();
    } else {
      this.#planning ??= setTimeout(
        () => {
          this.#planning = undefined;
          this.#host.onInventory();
        },
        Math.min(wait, 1000),
      );
    }
  }

  /**
   * Stores events. Events that could not be stored are not acknowledged, so the agent sends them
   * again on the next connection.
   */
  async #keep(message: EventsMessage): Promise<void> {
    const { agentEvents, log } = this.#host;
    try {
      const taken: ControllerMessage = {
        type: 'eventsTaken',
        epoch: message.epoch,
        seq: await agentEvents.take(this.node, message),
      };
      this.#send(taken);
    } catch (error) {
      log.error({ node: this.node, err: error }, 'events of an agent not kept');
    }
  }

  #send(message: ControllerMessage): void {
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #refuse(problem: string): void {
    this.#host.log.warn({ node: this.node, problem }, 'agent sent a bad message');
    // The reason in a close frame has at most 123 bytes (RFC 6455, section 5.5).
    this.close(
      CLOSE.badMessage,
      Buffer.from(problem)
        .subarray(0, 120)
        .toString('latin1')
        .replace(/[^ -~]/g, '?'),
    );
  }

  #ended(): void {
    clearTimeout(this.#helloTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#resume);
    clearTimeout(this.#planning);
    if (this.#greeted) {
      this.#host.onClose(this);
    }
  }
}

/**
 * Parses a message. Returns the message, or the version of a hello with another protocol version,
 * or a problem.
 */
function parse(text: string): AgentMessage | { otherProtocol: number } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'a message must be JSON' };
  }
  const problem = shapeProblem(value);
  if (problem !== undefined) {
    return { problem: `not a message: ${problem}` };
  }
  const hello = AnyHello.safeParse(value);
  if (hello.success && hello.data.protocol !== SYNC_PROTOCOL) {
    return { otherProtocol: hello.data.protocol };
  }
  const result = AgentMessage.safeParse(value);
  if (result.success) {
    return result.data;
  }
  const issues = result.error.issues.slice(0, 3).map(({ path, message }) => `${fieldPath(path)}: ${message}`);
  return { problem: `not a message: ${issues.join('; ')}` };
}
