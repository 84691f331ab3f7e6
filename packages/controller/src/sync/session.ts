/** One connection of an agent. Its reports go to the live state, and programs are sent to it. */
import {
  CLOSE_NO_LEADER,
  CLOSE_SECOND_AGENT,
  type ControllerMessage,
  type CounterReading,
  emptyProgram,
  type HeardCounters,
  type Hello,
  type LookOrder,
  MAX_HELLO_BYTES,
  type NodeProgram,
  type ProgramWantedMessage,
  UNPLANNED_REVISION,
  type Underlay,
} from '@mirrorplane/contract';
import type { WebSocket } from 'ws';
import type { CertificateName } from '../auth/node-certificates.ts';
import { TokenBucket } from '../token-bucket.ts';
import { readMessage } from './agent-message.ts';
import { AgentReports, type ReportHost } from './agent-reports.ts';
import { Pings } from './pings.ts';
import { ProgramSender } from './program-sender.ts';
import { protocolProblem } from './protocol.ts';
import { ReportOrders } from './report-orders.ts';
import { type ReportTurns, SHORT_BYTES } from './report-turns.ts';

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
  /** An operator has revoked the node. */
  revoked: 4007,
  /** The node has enrolled again. */
  superseded: 4008,
  /** The certificate of the agent has ended, or the authority that has signed it is dropped. */
  certificateEnded: 4009,
  /** The node has another agent that answers. */
  secondAgent: CLOSE_SECOND_AGENT,
  /** This controller does not lead any more. */
  noLeader: CLOSE_NO_LEADER,
  /** The controller stops. */
  goingAway: 1001,
} as const;

/** Time for the hello to come, in milliseconds. */
export const HELLO_TIMEOUT_MS = 10_000;

/**
 * CPU time of the controller for one node, milliseconds: `reserve` at once, and `perSecond` in each
 * second. Beyond it, the node's messages wait in its socket.
 */
const BUSY = { reserve: 1000, perSecond: 250 };
/** Large messages of one agent that wait for their turn. More of them wait in its socket. */
const MOST_LATER = 2;

/** The other end of a connection. */
export interface Peer {
  /** Name in its certificate. */
  node: string;
  /** Its address. */
  address: string;
  /** The newest certificate that it has shown. */
  certificate: CertificateName;
  /** End of that certificate, ISO 8601. */
  certificateEndsAt: string;
}

/** Callbacks of a session. */
export interface SessionHost extends ReportHost {
  /** Of the large reports of all agents. */
  turns: ReportTurns;
  /**
   * Why the session is refused. Undefined: it is accepted. If another agent must be asked first,
   * messages wait meanwhile.
   */
  admits(session: Session): string | undefined | Promise<string | undefined>;
  /** As `admits`, for a session that was about to be accepted: another agent may have come since. */
  rival(session: Session): Promise<string | undefined> | undefined;
  /** Whether programs may be sent now. If not, `mayTellAgain` is called when they may. */
  mayTell(): boolean;
  /** The hello is accepted. */
  onHello(session: Session): void;
  /** The agent uses another version of the protocol. `message` has the reason of the refusal. */
  onRejected(session: Session, message: string): void;
  /** The agent has sent a message that cannot be taken. `problem` says why. */
  onBadMessage(session: Session, problem: string): void;
  onCounters(session: Session, message: HeardCounters): void;
  onClose(session: Session): void;
}

export class Session {
  readonly peer: Peer;
  readonly #socket: WebSocket;
  readonly #host: SessionHost;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pings: Pings;
  readonly #reports: AgentReports;
  /** How the agent is to report. */
  readonly orders = new ReportOrders((order) => this.tell(order));
  #greeted = false;
  /** Messages that arrive before the session is accepted or refused. Undefined at other times. */
  #waiting: Buffer[] | undefined;
  #helloUnderlay: Underlay | undefined;
  /** Fingerprints of the authorities that the agent trusts. Undefined: it has not said so. */
  trusts: readonly string[] | undefined;
  /** The highest term of a leader that the agent knows. Undefined: it knows no terms. */
  term: number | undefined;
  readonly #programs = new ProgramSender((text) => this.#socket.send(text));
  /** A question for a program that came while none may be sent. */
  #asked: ProgramWantedMessage | undefined;
  readonly #busy = new TokenBucket(BUSY);
  #resume: NodeJS.Timeout | undefined;
  /** Messages that wait for a turn, in the order in which they came. */
  #later: Buffer[] = [];
  /** This end has closed the connection: nothing more is read. */
  #isClosed = false;
  readonly #takeTurn = () => this.#turn();

  constructor(socket: WebSocket, peer: Peer, host: SessionHost) {
    const { node } = peer;
    this.peer = peer;
    this.#socket = socket;
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
      eventsKept: (epoch, seq) => this.tell({ type: 'eventsTaken', epoch, seq }),
    });
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('error', (error) => host.log.warn({ node, err: error }, 'agent connection failed'));
    socket.on('close', () => this.#ended());
  }

  get node(): string {
    return this.peer.node;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** True after a valid hello. */
  get greeted(): boolean {
    return this.#greeted || this.#waiting !== undefined;
  }

  /** Sends a ping. Resolves with whether any message arrived within `limitMs` milliseconds. */
  answers(limitMs: number): Promise<boolean> {
    return this.#pings.answered(limitMs);
  }

  /** Sends the program, or what differs, unless the agent has it on this connection. */
  send(program: NodeProgram): void {
    if (this.#greeted && this.isOpen) {
      this.#programs.send(program);
    }
  }

  /** Revision of the program that the agent was sent on this connection, or has without that. 0: none. */
  get programRevision(): number {
    return this.#programs.revision;
  }

  /** Tells the agent that totals with this reading are on disk. */
  countersSaved(reading: CounterReading): void {
    this.tell({ type: 'countersSaved', ...reading });
  }

  /** Tells the agent which looks its node shall have. @returns false: the connection has ended */
  sendLooks(looks: LookOrder[]): boolean {
    this.tell({ type: 'looks', looks });
    return this.#greeted && this.isOpen;
  }

  /** Sends an empty program, as the last one of this connection. */
  sendEmpty(): void {
    if (this.#greeted && this.isOpen) {
      this.#programs.sendWhole(emptyProgram(this.node, UNPLANNED_REVISION));
    }
  }

  /** Closes the connection. If the other end does not answer, the connection is destroyed. */
  close(code: number, reason: string): void {
    // What it has said goes with its connection: the next one tells the whole.
    this.#isClosed = true;
    this.#later = [];
    this.#host.turns.drop(this.#takeTurn);
    this.#socket.close(code, reason);
    setTimeout(() => this.#socket.terminate(), 2000).unref();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#pings.heard();
    if (!this.isOpen) {
      return;
    }
    if (this.#waiting) {
      this.#waiting.push(data);
      return;
    }
    if (!this.#greeted || isBinary || data.length <= SHORT_BYTES) {
      this.#readLater();
      this.#take(data, isBinary);
      return;
    }
    this.#later.push(data);
    if (this.#later.length >= MOST_LATER) {
      this.#socket.pause();
    }
    if (this.#later.length === 1) {
      this.#askForTurn();
    }
  }

  /** Asks for a turn where something waits. A node that has cost too much asks when it may go on. */
  #askForTurn(): void {
    if (this.#later.length > 0 && this.#resume === undefined) {
      this.#host.turns.run(this.#takeTurn);
    }
  }

  /** Reads the first message that waits. The next one waits for another turn. */
  #turn(): void {
    const data = this.#later.shift();
    if (data === undefined) {
      return;
    }
    this.#take(data, false);
    this.#goOn();
    this.#askForTurn();
  }

  /** Reads all that waits, because what came after it is read now. */
  #readLater(): void {
    if (this.#later.length > 0) {
      this.#host.turns.drop(this.#takeTurn);
      this.#host.turns.atOnce(() => {
        for (const data of this.#later.splice(0)) {
          this.#take(data, false);
        }
      });
      this.#goOn();
    }
  }

  /** Reads on from the socket, unless there is a reason to wait. */
  #goOn(): void {
    const mayGoOn = this.#resume === undefined && this.#waiting === undefined && this.#later.length < MOST_LATER;
    if (mayGoOn && this.#socket.isPaused) {
      this.#socket.resume();
    }
  }

  /** Reads a message. A node that costs too much waits then. */
  #take(data: Buffer, isBinary: boolean): void {
    if (this.#isClosed) {
      return;
    }
    const began = performance.now();
    this.#read(data, isBinary);
    const wait = this.#busy.spend(performance.now() - began);
    if (wait > 0 && this.#resume === undefined) {
      this.#socket.pause();
      this.#resume = setTimeout(() => {
        this.#resume = undefined;
        this.#goOn();
        this.#askForTurn();
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
      const problem =
        message.type === 'programWanted' ? this.#wanted(message) : this.#reports.take(message, this.#helloUnderlay);
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
      this.term = message.term;
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
    const rival = refusal === undefined && this.isOpen ? this.#host.rival(this) : undefined;
    if (rival) {
      void rival.then((why) => this.#decided(message, why));
      return;
    }
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#socket.resume();
    if (this.isOpen) {
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
    this.trusts = message.trusts;
    this.#programs.begin(message);
    this.#host.live.hello(message);
    this.#host.onHello(this);
    if (message.differences) {
      this.orders.begin(message.numbers);
    }
  }

  /** @returns what is wrong with the question; undefined: nothing is */
  #wanted(message: ProgramWantedMessage): string | undefined {
    const { have } = message;
    if (have === undefined) {
      this.#host.log.warn({ node: this.node }, 'agent asks for its whole program: a difference did not fit');
    }
    this.#host.live.heard(this.node);
    if (!this.#host.mayTell()) {
      this.#asked = message;
      return undefined;
    }
    return this.#programs.wanted(have);
  }

  /** Programs may be sent again: answers what the agent has asked for meanwhile. */
  mayTellAgain(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    const problem = asked && this.isOpen ? this.#programs.wanted(asked.have) : undefined;
    if (problem !== undefined) {
      this.#refuse(problem);
    }
  }

  /** Sends a message. */
  tell(message: ControllerMessage): void {
    if (this.isOpen) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #refuse(problem: string): void {
    this.#host.onBadMessage(this, problem);
    this.close(CLOSE.badMessage, closeText(problem));
  }

  #ended(): void {
    clearTimeout(this.#helloTimer);
    this.#pings.close();
    // What is read now may set timers.
    this.#readLater();
    this.#reports.close();
    this.#host.turns.drop(this.#takeTurn);
    clearTimeout(this.#resume);
    if (this.#greeted) {
      this.#host.onClose(this);
    }
  }
}

/** A text as the reason in a close frame: it has at most 123 bytes (RFC 6455, section 5.5). */
export function closeText(text: string): string {
  return Buffer.from(text)
    .subarray(0, 120)
    .toString('latin1')
    .replace(/[^ -~]/g, '?');
}
