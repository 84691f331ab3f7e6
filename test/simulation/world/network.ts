/**
 * The network between hosts. Each connection keeps the order of its frames, as TCP does. Frames of
 * different connections overtake each other, also those of the same two processes. While two hosts
 * are cut off from each other, their frames wait, and come late.
 */
import { EventEmitter } from 'node:events';
import type { Process } from '../core/process.ts';
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';
import { type Frame, VirtualSocket } from './socket.ts';

/** A process that wants a connection. */
export interface Offer {
  /** Host of the process. */
  from: string;
  /** What it has shown. */
  certificate: string;
  /** Path and headers of its request. */
  path: string;
  headers: Record<string, string>;
  /** Whether it has given up. */
  isOver(): boolean;
  /** The socket of the listening process. It is open. */
  accept(): VirtualSocket;
  refuse(status: number, headers: Record<string, string>, body: string): void;
  /** The connection is closed without an answer. */
  drop(): void;
  /** Another process takes it, by way of a process that listens here. @returns ends the connection */
  handOn(to: Listener, via: Via): () => void;
}

/** Whom a process wants to reach, and how long it waits, milliseconds. */
export interface Target {
  host: string;
  path: string;
  headers: Record<string, string>;
  certificate: string;
  handshakeMs: number;
  /** For TCP alone. Undefined: as long as for all. */
  connectMs: number | undefined;
}

/** A process through which a connection goes. */
export interface Via {
  host: string;
  process: Process;
}

/** A process that takes connections. */
export interface Listener {
  process: Process;
  host: string;
  offered(offer: Offer): void;
}

/** Hears all texts. */
export interface Wiretap {
  /** A process sends a text to a host. */
  sent(from: string, to: string, text: string): void;
  /** A text has come to a process at a host. */
  received(from: string, to: string, text: string): void;
  /** A process has taken a text. @param isOpen whether it goes on with this connection */
  taken(to: string, text: string, isOpen: boolean): void;
}

/** One direction of a connection. */
interface Lane {
  from: string;
  to: string;
  /** Through which processes. */
  via: readonly Via[];
  target: VirtualSocket;
  /** When the last frame comes at the earliest. */
  busyUntil: number;
  /** Number of frames that were sent, and of those that have been taken. */
  sent: number;
  taken: number;
  /** Frames that have come and wait for earlier ones, or until the hosts reach each other; by number. */
  waiting: Map<number, Frame>;
  /** Frames of a host without power are lost. */
  dead: boolean;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #cuts = new Set<string>();
  readonly #lanes = new Map<VirtualSocket, Lane>();
  readonly #listeners = new Map<string, Listener>();
  /** Whose frame is being taken. */
  speaking: Process | undefined;
  wiretap: Wiretap | undefined;
  /** The longest usual delay of a frame, milliseconds. */
  delay = 5;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** A process takes connections to its host. */
  listen(listener: Listener): void {
    this.#listeners.set(listener.host, listener);
  }

  /** A process takes no connections any more. */
  unlisten(listener: Listener): void {
    if (this.#listeners.get(listener.host) === listener) {
      this.#listeners.delete(listener.host);
    }
  }

  /** The process that takes connections to a host. */
  listenerOf(host: string): Listener | undefined {
    const listener = this.#listeners.get(host);
    return listener?.process.alive ? listener : undefined;
  }

  /** A process at a host asks for a connection. */
  dial(socket: VirtualSocket, host: string, target: Target): void {
    const { owner } = socket;
    const failLater = (wait: number, why: string) => this.#scheduler.after(wait, owner, () => socket.fail(why));
    const listener = this.#listeners.get(target.host);
    const isCut = this.isCut(host, target.host);
    // A host that nobody reaches does not refuse.
    if (!listener?.process.alive && !isCut) {
      failLater(this.#latency(), 'connect ECONNREFUSED');
      return;
    }
    // Also for a listener that is killed before it answers. An open socket does not fail.
    failLater(target.handshakeMs, 'Opening handshake has timed out');
    if (isCut || !listener) {
      failLater(target.connectMs ?? target.handshakeMs, `${target.host} does not answer`);
      return;
    }
    this.#scheduler.after(this.#latency(), listener.process, () => {
      listener.offered(this.#offer(socket, host, target, listener, []));
    });
  }

  /** What a listener is offered. @param via processes that have handed it on */
  #offer(socket: VirtualSocket, host: string, target: Target, listener: Listener, via: readonly Via[]): Offer {
    const { owner } = socket;
    const { certificate, path, headers } = target;
    const answer = (run: () => void) => void this.#scheduler.after(this.#latency(), owner, run);
    return {
      ...{ from: host, certificate, path, headers },
      isOver: () => socket.readyState !== VirtualSocket.CONNECTING,
      accept: () => this.#join(socket, host, listener, via),
      refuse: (status, more, body) => answer(() => refuse(socket, status, more, body)),
      drop: () => answer(() => socket.fail('socket hang up')),
      handOn: (to, by) => {
        const way = [...via, by];
        this.#scheduler.after(this.#latency(), to.process, () => {
          to.offered(this.#offer(socket, host, target, to, way));
        });
        return () => this.#reset(socket);
      },
    };
  }

  /** Whether two hosts do not reach each other. */
  isCut(a: string, b: string): boolean {
    return this.#cuts.has([a, b].sort().join());
  }

  /** Two hosts do not reach each other from now on. */
  cut(a: string, b: string): void {
    this.#cuts.add([a, b].sort().join());
  }

  /** All hosts reach each other again. What waits comes late. */
  heal(): void {
    this.#cuts.clear();
    for (const lane of this.#lanes.values()) {
      this.#scheduler.after(this.#latency(), lane.target.owner, () => this.#take(lane));
    }
  }

  /** A process has ended. Its host tells the other ends of its connections. */
  processEnded(process: Process): void {
    for (const [socket, lane] of this.#lanes) {
      if ((socket.owner === process || lane.via.some((one) => one.process === process)) && !lane.dead) {
        this.#send(lane, { type: 'reset' });
        lane.dead = true;
      }
    }
  }

  /** A host has lost its power: the other ends hear nothing until it is back. */
  hostDown(host: string): void {
    for (const lane of this.#lanes.values()) {
      lane.dead ||= lane.from === host || lane.via.some((one) => one.host === host);
    }
  }

  /** A host is back, and knows none of its connections. */
  hostUp(host: string): void {
    for (const lane of this.#lanes.values()) {
      if ((lane.from === host || lane.via.some((one) => one.host === host)) && lane.dead) {
        this.#schedule(lane, { type: 'reset' });
      }
    }
  }

  /** Ends a connection of a host, without a word to either process. */
  breakOne(host: string): void {
    const own = [...this.#lanes].filter(
      ([{ readyState }, { from }]) => from === host && readyState === VirtualSocket.OPEN,
    );
    const [socket] = this.#random.pick(own) ?? [];
    if (socket) {
      this.#reset(socket);
    }
  }

  /** Ends both directions of a connection. */
  #reset(socket: VirtualSocket): void {
    const lane = this.#lanes.get(socket);
    for (const one of lane ? [lane, this.#lanes.get(lane.target)] : []) {
      if (one) {
        one.taken = one.sent;
        this.#schedule(one, { type: 'reset' });
      }
    }
  }

  #join(socket: VirtualSocket, host: string, { process, host: at }: Listener, via: readonly Via[]): VirtualSocket {
    const other = new VirtualSocket(process);
    const lane = (from: string, to: string, target: VirtualSocket): Lane => {
      return { from, to, via, target, busyUntil: 0, sent: 0, taken: 0, waiting: new Map(), dead: false };
    };
    const [up, down] = [lane(host, at, other), lane(at, host, socket)];
    this.#lanes.set(socket, up);
    this.#lanes.set(other, down);
    other.connect(this.#wire(other, down));
    this.#scheduler.after(this.#latency(), socket.owner, () => {
      if (socket.readyState === VirtualSocket.CONNECTING) {
        socket.connect(this.#wire(socket, up));
        socket.emit('open');
      }
    });
    down.busyUntil = this.#scheduler.now + this.delay;
    const forget = () => {
      if (socket.readyState === VirtualSocket.CLOSED && other.readyState === VirtualSocket.CLOSED) {
        this.#lanes.delete(socket);
        this.#lanes.delete(other);
      }
    };
    socket.on('close', forget);
    other.on('close', forget);
    return other;
  }

  #wire({ owner }: VirtualSocket, lane: Lane) {
    return {
      send: (frame: Frame) => this.#send(lane, frame),
      soon: (run: () => void) => void this.#scheduler.after(0, owner, run),
    };
  }

  #send(lane: Lane, frame: Frame): void {
    if (lane.dead) {
      return;
    }
    if (frame.type === 'text') {
      this.wiretap?.sent(lane.from, lane.to, frame.text);
    }
    this.#schedule(lane, frame);
  }

  #schedule(lane: Lane, frame: Frame): void {
    const { scheduler, number } = { scheduler: this.#scheduler, number: lane.sent++ };
    lane.busyUntil = Math.max(lane.busyUntil, scheduler.now + this.#latency());
    scheduler.after(lane.busyUntil - scheduler.now, lane.target.owner, () => {
      lane.waiting.set(number, frame);
      this.#take(lane);
    });
  }

  /** Frames that have come are taken in their order. */
  #take(lane: Lane): void {
    for (let frame = lane.waiting.get(lane.taken); frame; frame = lane.waiting.get(lane.taken)) {
      if (this.#isClosed(lane)) {
        return;
      }
      lane.waiting.delete(lane.taken++);
      this.speaking = this.#speakerOf(lane);
      if (frame.type === 'text' && lane.target.readyState === VirtualSocket.OPEN) {
        this.wiretap?.received(lane.from, lane.to, frame.text);
      }
      lane.target.receive(frame);
      if (frame.type === 'text') {
        this.wiretap?.taken(lane.to, frame.text, lane.target.readyState === VirtualSocket.OPEN);
      }
    }
  }

  #isClosed({ from, to, via }: Lane): boolean {
    const hosts = [from, ...via.map(({ host }) => host), to];
    return this.#cuts.size > 0 && hosts.some((host, at) => at > 0 && this.isCut(hosts[at - 1]!, host));
  }

  /** The process at the other end of a lane. */
  #speakerOf(lane: Lane): Process | undefined {
    return this.#lanes.get(lane.target)?.target.owner;
  }

  /** Mostly short, now and then long. */
  #latency(): number {
    const most = this.#random.chance(0.03) ? this.delay * 100 : this.delay;
    return this.#random.between(0.05, most);
  }
}

function refuse(socket: VirtualSocket, statusCode: number, headers: Record<string, string>, body: string): void {
  if (socket.readyState !== VirtualSocket.CONNECTING) {
    return;
  }
  const response = Object.assign(new EventEmitter(), { statusCode, headers });
  socket.emit('unexpected-response', undefined, response);
  response.emit('data', Buffer.from(body));
  response.emit('close');
}
