/** One finding as it runs: waits until every place is looked at, takes packets, and gives its answer. */
import { EventEmitter } from 'node:events';
import type { Finding, FindingAnswer, FindingCreate } from '@mirrorplane/contract';
import type { LiveLook } from '../looks/live-look.ts';
import { answerOf } from './answer.ts';
import type { Ends } from './circumstances.ts';
import { Conversations } from './conversations.ts';
import { watchLook } from './sight.ts';

/** Where an interface is, and the MAC addresses of its guest. */
export interface Whereabouts {
  /** Absent: it has no device now. */
  node?: string;
  macs: readonly string[];
}

export interface FindingRunOptions {
  id: string;
  request: FindingCreate;
  owner: string;
  look: LiveLook;
  clock: () => number;
  whereIs: (id: string) => Whereabouts;
  /** The look lives on. */
  renew: () => void;
  /** The look is not needed any more. */
  end: () => void;
}

interface FindingEvents {
  done: [];
}

/** How often it looks after its look, milliseconds. */
const TURN_MS = 200;
/** How long nodes may take until they look. */
const START_MS = 10_000;
/**
 * After all nodes look, and again at the end, packets are taken that do not count: those under way
 * are not missing.
 */
const SETTLE_MS = 1500;
/** How often the look is renewed. */
const RENEW_MS = 10_000;
/** How long the last packets may take to come. */
const LAST_MS = 5000;
/** Packets after which it has looked long enough: some 150 MB. */
export const MOST_PACKETS = 120_000;
/** Packets that may come until it has settled after that. */
const MOST_AFTER = 30_000;

/** Runs from its construction until `done` or `close`. */
export class FindingRun extends EventEmitter<FindingEvents> {
  readonly id: string;
  readonly #options: FindingRunOptions;
  readonly #beganAt: number;
  readonly #before: Record<keyof Ends, Whereabouts>;
  readonly #sight: ReturnType<typeof watchLook>;
  #conversations: Conversations | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: Finding['state'] = 'starting';
  /** When the present part of it has to be over, milliseconds since 1970. */
  #until: number;
  #settling = false;
  #renewedAt: number;
  #endsAt: number | undefined;
  /** Packets up to this one came too early to count. */
  #first = Number.POSITIVE_INFINITY;
  /** The last packet that counts. */
  #last = Number.POSITIVE_INFINITY;
  #taken = 0;
  #seen = 0;
  #tooMany = false;
  #endedEarly = false;
  #lookedFrom = 0;
  /** Seconds. */
  #looked = 0;
  #answer: FindingAnswer | undefined;

  constructor(options: FindingRunOptions) {
    super();
    const { id, request, look, clock, whereIs } = options;
    this.id = id;
    this.#options = options;
    this.#beganAt = clock();
    this.#renewedAt = this.#beganAt;
    this.#until = this.#beganAt + START_MS;
    this.#before = { from: whereIs(request.from), to: whereIs(request.to) };
    this.#sight = watchLook(look, this.#nodes());
    this.#conversations = new Conversations({
      from: { id: request.from, macs: new Set(this.#before.from.macs) },
      to: { id: request.to, macs: new Set(this.#before.to.macs) },
    });
    look.on('changed', this.#take);
    this.#timer = setInterval(() => this.#turn(), TURN_MS).unref();
  }

  /** id of its look. */
  get look(): string {
    return this.#options.look.id;
  }

  get owner(): string {
    return this.#options.owner;
  }

  /** It gives no other answer any more. */
  get isDone(): boolean {
    return this.#timer === undefined;
  }

  /** As the API shows it. */
  describe(): Finding {
    const { request, owner, look } = this.#options;
    return {
      id: this.id,
      ...request,
      owner,
      look: look.id,
      state: this.#state,
      beganAt: new Date(this.#beganAt).toISOString(),
      ...(this.#endsAt !== undefined && { endsAt: new Date(this.#endsAt).toISOString() }),
      seen: this.#seen,
      ...(this.#answer && { answer: this.#answer }),
    };
  }

  /** Gives up, without an answer. Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#options.look.off('changed', this.#take);
    this.#conversations = undefined;
  }

  #nodes(): string[] {
    return [...new Set(Object.values(this.#before).flatMap(({ node }) => node ?? []))];
  }

  readonly #take = (): void => {
    const { ring } = this.#options.look;
    if (ring.oldest > this.#taken + 1) {
      this.#tooMany = true;
    }
    for (const packet of ring.since(this.#taken, Number.POSITIVE_INFINITY)) {
      this.#taken = packet.number;
      this.#seen++;
      if (this.#seen > MOST_PACKETS + MOST_AFTER) {
        this.#tooMany = true;
      } else {
        this.#conversations?.add(packet, packet.number > this.#first && packet.number <= this.#last);
      }
    }
  };

  /** Goes on where it is time. */
  #turn(): void {
    const now = this.#options.clock();
    this.#sight.turn(this.#state === 'looking');
    if (now >= this.#renewedAt + RENEW_MS) {
      this.#renewedAt = now;
      this.#options.renew();
    }
    if (this.#state === 'starting') {
      this.#start(now);
    } else if (this.#settling) {
      this.#finish(now);
    } else {
      this.#look(now);
    }
  }

  #start(now: number): void {
    if (!this.#settling && (this.#sight.allLook() || now >= this.#until)) {
      this.#settling = true;
      this.#until = now + SETTLE_MS;
      return;
    }
    if (this.#settling && now >= this.#until) {
      this.#take();
      this.#settling = false;
      this.#state = 'looking';
      this.#first = this.#options.look.ring.newest;
      this.#lookedFrom = now;
      // Where not every place is looked at, no time makes it better.
      const { from, to } = this.#before;
      const isSeen = from.node !== undefined && to.node !== undefined && this.#sight.allLook();
      this.#until = isSeen ? now + this.#options.request.seconds * 1000 : now;
      this.#endsAt = this.#until + SETTLE_MS;
    }
  }

  #look(now: number): void {
    const { look } = this.#options;
    if (now < this.#until && look.running && this.#seen <= MOST_PACKETS) {
      return;
    }
    this.#endedEarly = now < this.#until && !look.running;
    this.#looked = Math.max(0, Math.round((now - this.#lookedFrom) / 1000));
    this.#take();
    this.#last = look.ring.newest;
    this.#settling = true;
    this.#until = now + SETTLE_MS;
  }

  /** Waits for packets under way, ends the look, and waits for its last words. */
  #finish(now: number): void {
    const { look, end } = this.#options;
    if (look.running) {
      if (now >= this.#until) {
        this.#until = now + LAST_MS;
        end();
      }
      return;
    }
    if (!look.complete && now < this.#until) {
      return;
    }
    this.#take();
    this.#answer = this.#conclude(this.#conversations!);
    this.#state = 'done';
    this.close();
    this.emit('done');
  }

  #conclude(conversations: Conversations): FindingAnswer {
    const { request, look, whereIs } = this.#options;
    const moved = (['from', 'to'] as const).filter((end) => whereIs(request[end]).node !== this.#before[end].node);
    const absent = (['from', 'to'] as const).filter((end) => this.#before[end].node === undefined);
    const ends = { from: request.from, to: request.to };
    const { from, to } = this.#before;
    return answerOf({
      conversations,
      drops: look.ring.drops,
      around: {
        ...this.#sight.result(),
        notSeen: [
          ...absent.map((end) => ({ where: `"${ends[end]}"`, message: 'it has no device now' })),
          ...(this.#endedEarly ? [{ where: 'all places', message: 'the look was ended early' }] : []),
          ...this.#sight.result().notSeen,
        ],
        moved: moved.filter((end) => !absent.includes(end)).map((end) => `"${ends[end]}"`),
        tooMany: this.#tooMany,
        nodes: { from: from.node ?? '', to: to.node ?? '' },
        seconds: this.#looked,
      },
      ends,
      isKnown: to.macs.length > 0,
      most: MOST_PACKETS,
    });
  }
}
