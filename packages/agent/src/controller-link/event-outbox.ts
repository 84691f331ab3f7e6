/** Events of the agent: kept until the controller has them, and sent again on every connection until then. */
import { randomUUID } from 'node:crypto';
import {
  type AgentEvent,
  type EventsMessage,
  type EventsTakenMessage,
  MAX_EVENTS_MESSAGE,
} from '@mirrorplane/contract';

/** An event before it has its number and time. */
export type AgentEventDraft = Omit<AgentEvent, 'seq' | 'at'>;

/** Events that wait for a controller which is away, at most; then the oldest are dropped. */
export const MAX_WAITING = 5000;

/** The part of the sync client that the recorder uses. */
interface Outlet {
  readonly connected: boolean;
  send(message: EventsMessage): void;
}

/**
 * Numbers events from 1 within the epoch of one start of the agent. One that is dropped leaves a gap in the numbers,
 * by which the controller sees how many it was not told. What waits when the agent ends is lost with it.
 */
export class EventRecorder {
  readonly epoch: string = randomUUID();
  readonly #limit: number;
  readonly #clock: () => number;
  /** Not acknowledged yet, the oldest first. */
  #waiting: AgentEvent[] = [];
  #seq = 0;
  /** Number of the newest event that went out on the present connection. */
  #sent = 0;
  #scheduled = false;
  #outlet: Outlet | undefined;

  /**
   * @param options.limit events that wait at most, default `MAX_WAITING`
   * @param options.clock milliseconds since 1970, default `Date.now`
   */
  constructor(options: { limit?: number; clock?: () => number } = {}) {
    this.#limit = options.limit ?? MAX_WAITING;
    this.#clock = options.clock ?? Date.now;
  }

  /** How many events the controller does not have yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Names the connection that events go to from now on. */
  connect(outlet: Outlet): void {
    this.#outlet = outlet;
  }

  /** Tells the controller, now or when it is back. Never waits, never throws. */
  tell(event: AgentEventDraft): void {
    this.#waiting.push({ seq: ++this.#seq, at: new Date(this.#clock()).toISOString(), ...event });
    if (this.#waiting.length > this.#limit) {
      this.#waiting.shift();
    }
    if (this.#scheduled) {
      return;
    }
    this.#scheduled = true;
    // Events of one pass go together.
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#outlet?.connected) {
        return;
      }
      for (const message of this.#after(this.#sent)) {
        this.#outlet.send(message);
      }
    });
  }

  /** All that the controller has not acknowledged: what a new connection begins with. */
  greeting(): EventsMessage[] {
    return this.#after(0);
  }

  /** The controller has all events up to this one. Words about another epoch, or for the second time, change nothing. */
  taken({ epoch, seq }: Omit<EventsTakenMessage, 'type'>): void {
    if (epoch === this.epoch) {
      this.#waiting = this.#waiting.filter((event) => event.seq > seq);
    }
  }

  #after(seq: number): EventsMessage[] {
    const events = this.#waiting.filter((event) => event.seq > seq);
    this.#sent = this.#seq;
    const messages: EventsMessage[] = [];
    for (let at = 0; at < events.length; at += MAX_EVENTS_MESSAGE) {
      messages.push({ type: 'events', epoch: this.epoch, events: events.slice(at, at + MAX_EVENTS_MESSAGE) });
    }
    return messages;
  }
}
