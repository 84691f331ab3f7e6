/** One finding as it runs: waits until every place is looked at, takes packets, and gives its answer. */
import { EventEmitter } from 'node:events';
import type { Finding, FindingAnswer, FindingCreate } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { LiveLook } from '../looks/live-look.ts';
import type { Ends } from './circumstances.ts';
import { concludes, failed } from './conclusion.ts';
import { type Sight, watchLook } from './sight.ts';
import { Taken } from './taken.ts';
import type { Whereabouts } from './whereabouts.ts';

export interface FindingRunOptions {
  id: string;
  request: FindingCreate;
  owner: string;
  /** Who has a share of the findings. Default: the owner. */
  holder?: string;
  look: LiveLook;
  /** The time that is shown. */
  clock: () => number;
  /** Milliseconds that only go forward: what it waits is measured by it. */
  steady: () => number;
  log: Logger;
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
/** What it needs while it is under way: the look has all its packets. */
interface UnderWay {
  look: LiveLook;
  sight: Sight;
  taken: Taken;
}

/** Runs from its construction until `done` or `close`. Then it keeps only what is shown. */
export class FindingRun extends EventEmitter<FindingEvents> {
  readonly id: string;
  readonly request: FindingCreate;
  /** id of its look. */
  readonly look: string;
  readonly #options: Omit<FindingRunOptions, 'look'>;
  readonly #beganAt: number;
  readonly #before: Record<keyof Ends, Whereabouts>;
  #underWay: UnderWay | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: Finding['state'] = 'starting';
  /** When the present part of it has to be over, by the steady clock. */
  #until: number;
  #settling = false;
  #renewedAt: number;
  /** Milliseconds since 1970. */
  #endsAt: number | undefined;
  #seen = 0;
  #endedEarly = false;
  #lookedFrom = 0;
  /** Seconds. */
  #looked = 0;
  #answer: FindingAnswer | undefined;

  constructor({ look, ...options }: FindingRunOptions) {
    super();
    const { id, request, clock, steady, whereIs } = options;
    this.request = request;
    this.id = id;
    this.look = look.id;
    this.#options = options;
    this.#beganAt = clock();
    this.#renewedAt = steady();
    this.#until = this.#renewedAt + START_MS;
    this.#before = { from: whereIs(request.from), to: whereIs(request.to) };
    const taken = new Taken({
      from: { id: request.from, macs: new Set(this.#before.from.macs) },
      to: { id: request.to, macs: new Set(this.#before.to.macs) },
    });
    this.#underWay = { look, sight: watchLook(look, this.#nodes()), taken };
    look.on('changed', this.#take);
    this.#timer = setInterval(() => this.#guarded((underWay) => this.#turn(underWay)), TURN_MS).unref();
  }

  get owner(): string {
    return this.#options.owner;
  }

  get holder(): string {
    return this.#options.holder ?? this.owner;
  }

  /** It gives no other answer any more. */
  get isDone(): boolean {
    return this.#timer === undefined;
  }

  /** As the API shows it. */
  describe(): Finding {
    const { request, owner } = this.#options;
    return {
      id: this.id,
      ...request,
      owner,
      look: this.look,
      state: this.#state,
      beganAt: new Date(this.#beganAt).toISOString(),
      ...(this.#endsAt !== undefined && { endsAt: new Date(this.#endsAt).toISOString() }),
      seen: this.#underWay?.taken.seen ?? this.#seen,
      ...(this.#answer && { answer: this.#answer }),
    };
  }

  /** Gives up, without an answer. Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#underWay?.look.off('changed', this.#take);
    this.#seen = this.#underWay?.taken.seen ?? this.#seen;
    this.#underWay = undefined;
  }

  #nodes(): string[] {
    return [...new Set(Object.values(this.#before).flatMap(({ node }) => node ?? []))];
  }

  readonly #take = (): void => {
    this.#guarded(({ taken, look }) => taken.take(look.ring));
  };

  /** What packets are made of must not end the controller: a fault ends only this finding. */
  #guarded(act: (underWay: UnderWay) => void): void {
    if (this.#underWay === undefined) {
      return;
    }
    try {
      act(this.#underWay);
    } catch (error) {
      const { log, request, end } = this.#options;
      log.error({ err: error, finding: this.id }, 'a finding failed');
      end();
      this.#done(failed(request));
    }
  }

  #done(answer: FindingAnswer): void {
    this.#answer = answer;
    this.#state = 'done';
    this.close();
    this.emit('done');
  }

  /** Goes on where it is time. */
  #turn(underWay: UnderWay): void {
    const now = this.#options.steady();
    underWay.sight.turn(this.#state === 'looking');
    if (now >= this.#renewedAt + RENEW_MS) {
      this.#renewedAt = now;
      this.#options.renew();
    }
    if (this.#state === 'starting') {
      this.#start(now, underWay);
    } else if (this.#settling) {
      this.#finish(now, underWay);
    } else {
      this.#look(now, underWay);
    }
  }

  #start(now: number, { look, sight, taken }: UnderWay): void {
    if (!this.#settling && (sight.allLook() || now >= this.#until)) {
      this.#settling = true;
      this.#until = now + SETTLE_MS;
      return;
    }
    if (this.#settling && now >= this.#until) {
      this.#settling = false;
      this.#state = 'looking';
      taken.begin(look.ring);
      this.#lookedFrom = now;
      // Where not every place is looked at, no time makes it better.
      const { from, to } = this.#before;
      const isSeen = from.node !== undefined && to.node !== undefined && sight.allLook();
      this.#until = isSeen ? now + this.#options.request.seconds * 1000 : now;
      this.#endsAt = this.#options.clock() + (this.#until - now) + SETTLE_MS;
    }
  }

  #look(now: number, { look, taken }: UnderWay): void {
    if (now < this.#until && look.running && !taken.isFull) {
      return;
    }
    this.#endedEarly = now < this.#until && !look.running;
    this.#looked = Math.max(0, Math.round((now - this.#lookedFrom) / 1000));
    taken.end(look.ring);
    this.#settling = true;
    this.#until = now + SETTLE_MS;
  }

  /** Waits for packets under way, ends the look, and waits for its last words. */
  #finish(now: number, { look, sight, taken }: UnderWay): void {
    const { request, whereIs, end } = this.#options;
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
    taken.take(look.ring);
    this.#done(
      concludes({
        request,
        taken,
        before: this.#before,
        whereIs,
        sight: sight.result(),
        endedEarly: this.#endedEarly,
        looked: this.#looked,
      }),
    );
  }
}
