/**
 * The link between a follower and its leader: a WebSocket on the agents' port of the leader, by
 * which the follower hears that the leader is there and still leads.
 */
import type { ConnectionOptions } from 'node:tls';
import { type RawData, WebSocket } from 'ws';
import * as z from 'zod';
import { connectSoon } from './connect.ts';

/** Path of the link. */
export const LINK_PATH = '/controllers/link';
/** Header with the id of the follower. */
export const ID_HEADER = 'mirrorplane-controller';
/** Milliseconds between two signs of life of a leader. */
export const BEAT_MS = 200;

/** A sign of life of a leader. */
export const Beat = z.object({
  type: z.literal('beat'),
  term: z.number().int(),
  /** Whether it knows by etcd that it leads. */
  isSure: z.boolean(),
  /** The longest time that it was busy with one thing in the last minutes, milliseconds. */
  busyMs: z.number(),
  /** For how long it leads, milliseconds. Absent: an older version does not say it. */
  leadsMs: z.number().optional(),
  /** It closes its ports, and gives its place up as soon as it has written all. Absent: false. */
  isLeaving: z.boolean().optional(),
});
export type Beat = z.infer<typeof Beat>;

/** A follower has seen that another one leads. */
export const Deposed = z.object({ type: z.literal('deposed'), term: z.number().int() });

/** Milliseconds without a sign of life after which a leader counts as dead: the least, and the most. */
const SILENT_MS = { least: 1200, most: 5000 };
/**
 * Milliseconds of a term in which etcd has to say, too, that the leader does not reach it: in trouble
 * of all, the place does not go from one to the next.
 */
const FIRST_MS = 10_000;
/**
 * Milliseconds for which a leader must not have reached etcd, by what etcd says. `early`: one that
 * was reached, in the first seconds of its term. `refused`: one that was never reached, and whose
 * port refuses, so its process has ended, or its address is wrong. `unreached`: one that was never
 * reached, and may be busy with its start.
 */
const SILENCE_MS = { early: 2000, refused: 1000, unreached: 6000 } as const;
/** Attempts in turn that a port has refused. A leader that begins to listen refuses for a moment. */
const REFUSALS = 2;
/** Looks after which an answer of etcd is too old. */
const FRESH_LOOKS = 8;
/** Looks for which a leader that leaves may take to write what it has, with its ports closed. */
const LEAVING_LOOKS = 30;
/** Looks in turn in which etcd has to answer this one before it blames a leader that does not reach it. */
const WELL_LOOKS = 6;
/** Looks in which a leader that is well has said that it is sure. */
const SURE_LOOKS = 4;
/** Milliseconds between two looks. */
const LOOK_MS = 100;
/** Milliseconds before another try to connect to a leader that was never reached. */
const PAUSE_MS = 200;
/** Milliseconds for TLS and the upgrade. */
const HANDSHAKE_MS = 3000;

export interface LinkOptions {
  /** HOST:PORT of the leader's port for agents. */
  leader: string;
  term: number;
  /** Id of this controller. */
  id: string;
  tls: () => Promise<ConnectionOptions | undefined>;
  /** Whether etcd answers this one. Takes less than a second, and rejects never. */
  reachesEtcd: () => Promise<boolean>;
  /**
   * Milliseconds for which at least the leader has not reached etcd. Undefined: etcd does not answer,
   * or cannot know. Takes less than a second, and rejects never.
   */
  silence: () => Promise<number | undefined>;
  /** Milliseconds that are added to the silence of a leader where the lead has changed often. */
  patienceMs: number;
  /**
   * The leader is dead, or not sure that it leads. May be called again.
   * @param isDead whether that is still so
   */
  broken: (why: string, isDead: () => boolean) => void;
}

/**
 * Judges one leader. A way that never was open says nothing of the leader: one that was not reached
 * is judged by what etcd says of its lease.
 */
export class LeaderLink {
  readonly #options: LinkOptions;
  readonly #timer: NodeJS.Timeout;
  #socket: WebSocket | undefined;
  #redial: NodeJS.Timeout | undefined;
  #isReached = false;
  /** Looks since the last sign of life. They are counted, because this process may have slept. */
  #silentLooks = 0;
  #unsureLooks = 0;
  /** Looks in turn in which etcd has answered this one, while the leader was not sure. */
  #wellLooks = 0;
  #isAsking = false;
  /** Looks since the beginning. */
  #looks = 0;
  /** What etcd has said of the lease of the leader, and at which look it was asked. */
  #silence = { ms: 0, look: Number.NEGATIVE_INFINITY };
  #isAskingLease = false;
  /** Until which look the leader writes what it has, and its closed ports say nothing. */
  #leavesUntil = 0;
  /** Attempts in turn that the port has refused. */
  #refusals = 0;
  #busyMs = 0;
  /** How long the leader has led at its last sign of life. */
  #leadsMs = 0;
  /** Signs of life. */
  #beats = 0;
  /** Attempts in turn to connect without any answer. */
  #failures = 0;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    void this.#dial();
  }

  /** Whether the leader was reached. */
  get isReached(): boolean {
    return this.#isReached;
  }

  /** Says that another one leads. */
  tellDeposed(term: number): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: 'deposed', term }));
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#redial);
    // What was said last may still be on its way.
    this.#socket?.close();
    const socket = this.#socket;
    setTimeout(() => socket?.terminate(), 1000).unref();
  }

  async #dial(): Promise<void> {
    const { leader, id, tls } = this.#options;
    const options = await tls().catch(() => undefined);
    if (this.#closed) {
      return;
    }
    if (options === undefined) {
      this.#dialLater(PAUSE_MS);
      return;
    }
    const socket = new WebSocket(`wss://${leader}${LINK_PATH}`, {
      ...options,
      headers: { [ID_HEADER]: id },
      createConnection: (more: object) => connectSoon({ ...options, ...more, servername: options.servername! }),
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: 4096,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let failure = '';
    socket.on('message', (data) => this.#take(data));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure ||= error.message || String(error.code);
    });
    socket.on('close', () => this.#ended(failure));
  }

  #ended(failure: string): void {
    if (this.#closed) {
      return;
    }
    // A connection that was open and broke is tried again at once: a refusal says that nobody is there.
    // Where nobody answers, one packet may have been lost. A reset says nothing: a leader that is
    // there bounds its strangers so.
    this.#refusals = /ECONNREFUSED/.test(failure) ? this.#refusals + 1 : 0;
    this.#failures += Number(/does not answer|EHOSTUNREACH/.test(failure));
    const isGone = this.#isReached && !this.#isLeaving && (/ECONNREFUSED/.test(failure) || this.#failures > 1);
    if (isGone) {
      const beats = this.#beats;
      this.#options.broken(`its port does not answer: ${failure}`, () => this.#beats === beats);
    }
    this.#dialLater(this.#isReached && !isGone ? 10 : PAUSE_MS);
  }

  #dialLater(ms: number): void {
    clearTimeout(this.#redial);
    this.#redial = setTimeout(() => void this.#dial(), ms);
  }

  #take(data: RawData): void {
    const beat = readBeat(data);
    // Of another term: the address leads to another leader by now.
    if (beat?.term !== this.#options.term) {
      return;
    }
    this.#isReached = true;
    this.#beats++;
    this.#failures = 0;
    this.#refusals = 0;
    this.#silentLooks = 0;
    this.#busyMs = beat.busyMs;
    this.#leadsMs = beat.leadsMs ?? FIRST_MS;
    if (beat.isLeaving === true && this.#leavesUntil === 0) {
      this.#leavesUntil = this.#looks + LEAVING_LOOKS;
    }
    if (beat.isSure) {
      this.#unsureLooks = 0;
      this.#wellLooks = 0;
    }
  }

  #look(): void {
    this.#looks++;
    if (this.#isReached) {
      this.#silentLooks++;
      this.#unsureLooks++;
      if (this.#unsureLooks > SURE_LOOKS) {
        void this.#ask();
      }
    }
    if (!this.#isReached || (this.#isEarly && this.#unsureLooks > SURE_LOOKS)) {
      void this.#askLease();
    }
    const why = this.#why();
    if (why !== undefined) {
      this.#options.broken(why, () => this.#why() !== undefined);
    }
  }

  /** Whether the leader has led for some seconds at most. */
  get #isEarly(): boolean {
    return this.#leadsMs + this.#silentLooks * LOOK_MS < FIRST_MS;
  }

  get #isLeaving(): boolean {
    return this.#looks < this.#leavesUntil;
  }

  /** Why the leader counts as dead. Undefined: it does not. */
  #why(): string | undefined {
    return this.#closed || this.#isLeaving ? undefined : this.#isReached ? this.#whyReached() : this.#whyUnreached();
  }

  /** By what it says, or does not say. */
  #whyReached(): string | undefined {
    const limitMs = Math.min(SILENT_MS.most, Math.max(SILENT_MS.least, this.#busyMs * 2));
    const limit = limitMs / LOOK_MS;
    if (this.#isEarly && !this.#isSilentInEtcd(Math.max(SILENCE_MS.early, limitMs))) {
      return undefined;
    }
    if (this.#silentLooks > limit) {
      return `no sign of life for ${this.#silentLooks * LOOK_MS} ms`;
    }
    // When etcd is back, the leader needs a moment to know it.
    return this.#unsureLooks > limit && this.#wellLooks >= WELL_LOOKS ? 'it does not reach etcd' : undefined;
  }

  /** By its port and what etcd says. */
  #whyUnreached(): string | undefined {
    if (this.#refusals >= REFUSALS && this.#isSilentInEtcd(SILENCE_MS.refused)) {
      return 'its port refuses, and it does not reach etcd';
    }
    return this.#isSilentInEtcd(SILENCE_MS.unreached) ? 'it does not answer, and does not reach etcd' : undefined;
  }

  #isSilentInEtcd(ms: number): boolean {
    const { ms: silent, look } = this.#silence;
    return this.#looks - look <= FRESH_LOOKS && silent >= ms + this.#options.patienceMs;
  }

  /** Asks etcd for how long it has not heard of the leader. */
  async #askLease(): Promise<void> {
    if (this.#isAskingLease) {
      return;
    }
    this.#isAskingLease = true;
    const look = this.#looks;
    const ms = await this.#options.silence();
    this.#isAskingLease = false;
    if (ms !== undefined) {
      this.#silence = { ms, look };
    }
  }

  /** Looks whether etcd answers this one: else the leader is not to blame. */
  async #ask(): Promise<void> {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    const answers = await this.#options.reachesEtcd();
    this.#isAsking = false;
    this.#wellLooks = answers ? this.#wellLooks + 1 : 0;
  }
}

function readBeat(data: RawData): Beat | undefined {
  try {
    return Beat.parse(JSON.parse(data.toString()));
  } catch {
    return undefined;
  }
}
