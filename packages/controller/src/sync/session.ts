/** One connection of an agent: what it says goes to the live state, programs go out. */
import {
  CLOSE_SECOND_AGENT,
  type ControllerMessage,
  type CounterReading,
  type CountersMessage,
  emptyProgram,
  type Hello,
  MAX_HELLO_BYTES,
  type NodeProgram,
  type Underlay,
} from '@mirrorplane/contract';
import type { WebSocket } from 'ws';
import { TokenBucket } from '../token-bucket.ts';
import { readMessage } from './agent-message.ts';
import { AgentReports, type ReportHost } from './agent-reports.ts';
import { Pings } from './pings.ts';
import { protocolProblem } from './protocol.ts';

/** Codes with which the controller closes a connection; the reason is beside it in words. */
export const CLOSE = {
  /** The agent sent something that is not a message, or not in its place. */
  badMessage: 4000,
  /** The agent speaks another version of the protocol. */
  wrongProtocol: 4001,
  /** The name in the hello is not that of the certificate. */
  wrongNode: 4002,
  /** A newer connection of the same node took over. */
  replaced: 4003,
  /** The node was deleted. */
  deleted: 4004,
  /** No hello came in time. */
  silent: 4005,
  /** The node has another agent, which answers. */
  secondAgent: CLOSE_SECOND_AGENT,
  /** The controller stops. */
  goingAway: 1001,
} as const;

/** Time for the hello to come, in milliseconds. */
export const HELLO_TIMEOUT_MS = 10_000;

/**
 * A node may keep the controller busy for so many milliseconds of each second, and so many at once; then its messages wait in
 * its socket.
 */
const BUSY = { reserve: 1000, perSecond: 250 };

/** The other end of a connection. */
export interface Peer {
  /** Name in its certificate. */
  node: string;
  /** Address that it comes from. */
  address: string;
  /** When its certificate ends, ISO 8601. */
  certificateEndsAt: string;
}

/** Where a session reports to. */
export interface SessionHost extends ReportHost {
  /**
   * Whether the connection may be that of its node: undefined where it may, else why not. Where another one has to be asked,
   * what comes meanwhile waits.
   */
  admits(session: Session): string | undefined | Promise<string | undefined>;
  /** The hello is accepted. */
  onHello(session: Session): void;
  /** The agent speaks another version of the protocol: why it is not served. */
  onRejected(session: Session, message: string): void;
  onCounters(session: Session, message: CountersMessage): void;
  onClose(session: Session): void;
}

export class Session {
  readonly node: string;
  /** Address of the other end. */
  readonly address: string;
  /** When the certificate of the other end ends, ISO 8601. */
  readonly certificateEndsAt: string;
  readonly #socket: WebSocket;
  readonly #host: SessionHost;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pings: Pings;
  readonly #reports: AgentReports;
  #greeted = false;
  /** What came while it is not known whether the connection may be that of its node; undefined at other times. */
  #waiting: Buffer[] | undefined;
  #helloUnderlay: Underlay | undefined;
  #sentRevision = 0;
  readonly #busy = new TokenBucket(BUSY);
  #resume: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, peer: Peer, host: SessionHost) {
    const { node, address } = peer;
    this.certificateEndsAt = peer.certificateEndsAt;
    this.#socket = socket;
    this.node = node;
    this.address = address;
    this.#host = host;
    this.#helloTimer = setTimeout(() => this.close(CLOSE.silent, 'no hello came'), HELLO_TIMEOUT_MS);
    this.#pings = new Pings(socket, () => {
      host.log.warn({ node }, 'agent does not answer');
      socket.terminate();
    });
    this.#reports = new AgentReports({
      node,
      host,
      counted: (message) => host.onCounters(this, message),
      eventsKept: (epoch, seq) => this.#send({ type: 'eventsTaken', epoch, seq }),
    });
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('error', (error) => host.log.warn({ node, err: error }, 'agent connection failed'));
    socket.on('close', () => this.#ended());
  }

  /** True from when a good hello came. */
  get greeted(): boolean {
    return this.#greeted || this.#waiting !== undefined;
  }

  /** Pings, and resolves with whether anything came within `limitMs` milliseconds. */
  answers(limitMs: number): Promise<boolean> {
    return this.#pings.answered(limitMs);
  }

  /** Sends the program, unless this connection got the same revision before. */
  send(program: NodeProgram): void {
    if (this.#greeted && this.#sentRevision !== program.revision && this.#socket.readyState === this.#socket.OPEN) {
      this.#sentRevision = program.revision;
      const message: ControllerMessage = { type: 'program', program };
      this.#socket.send(JSON.stringify(message));
    }
  }

  /** Tells the agent that totals with this reading are on the disk. */
  countersSaved(reading: CounterReading): void {
    this.#send({ type: 'countersSaved', ...reading });
  }

  /** Sends a program with nothing in it, as the last one of this connection. */
  sendEmpty(): void {
    const { node } = this;
    const revision = Math.max(this.#sentRevision, this.#host.live.get(node)?.appliedRevision ?? 0) + 1;
    this.send(emptyProgram(node, revision));
  }

  /** Ends the connection; one whose other end does not answer is cut. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    setTimeout(() => this.#socket.terminate(), 2000).unref();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#pings.heard();
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
    const message = isBinary ? { problem: 'a message has to be text' } : readMessage(data.toString());
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
      const problem = this.#reports.take(message, this.#helloUnderlay);
      if (problem !== undefined) {
        this.#refuse(problem);
      }
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

  /** It is known now whether the connection may be that of its node. */
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

  #send(message: ControllerMessage): void {
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #refuse(problem: string): void {
    this.#host.log.warn({ node: this.node, problem }, 'agent sent a bad message');
    // A close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
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
    this.#pings.close();
    this.#reports.close();
    clearTimeout(this.#resume);
    if (this.#greeted) {
      this.#host.onClose(this);
    }
  }
}
