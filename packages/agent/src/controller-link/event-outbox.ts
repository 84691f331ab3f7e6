/**
 * Events of the agent. They are kept, and sent on every connection, until the controller has them.
 */
import { randomUUID } from 'node:crypto';
import { AgentEvent, type EventsMessage, type EventsTakenMessage, MAX_EVENTS_MESSAGE } from '@mirrorplane/contract';

/** An event before it has its number and time. */
export type AgentEventDraft = Omit<AgentEvent, 'seq' | 'at'>;

/** The most events that wait for an absent controller. Beyond it, the oldest are dropped. */
export const MAX_WAITING = 5000;

/** The part of the sync client that the recorder uses. */
interface Outlet {
  readonly connected: boolean;
  send(message: EventsMessage): void;
}

/**
 * Numbers events from 1 within an epoch. Each start of the agent begins a new epoch. A dropped
 * event leaves a gap in the numbers, so the controller knows how many it has not received. Events
 * that wait when the agent ends are lost.
 */
export class EventRecorder {
  readonly epoch: string = randomUUID();
  readonly #limit: number;
  readonly #clock: () => number;
  readonly #onInvalid: (event: AgentEvent, problem: string) => void;
  /** Events that are not acknowledged yet, the oldest first. */
  #waiting: AgentEvent[] = [];
  #seq = 0;
  /** Number of the newest event that was sent on the current connection. */
  #sent = 0;
  #scheduled = false;
  #outlet: Outlet | undefined;

  /**
   * @param options.limit the most events that wait, default `MAX_WAITING`
   * @param options.clock milliseconds since 1970, default `Date.now`
   * @param options.onInvalid gets an event that the controller would not take
   */
  constructor(
    options: { limit?: number; clock?: () => number; onInvalid?: (event: AgentEvent, problem: string) => void } = {},
  ) {
    this.#limit = options.limit ?? MAX_WAITING;
    this.#clock = options.clock ?? Date.now;
    this.#onInvalid = options.onInvalid ?? (() => {});
  }

  /** Number of events that the controller does not have yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Sets the connection for events from now on. */
  connect(outlet: Outlet): void {
    this.#outlet = outlet;
  }

  /** Sends an event to the controller, now or when it is back. Never waits and never throws. */
  tell(event: AgentEventDraft): void {
    const numbered = { seq: ++this.#seq, at: new Date(this.#clock()).toISOString(), ...event };
    const { error } = AgentEvent.safeParse(numbered);
    if (error) {
      // It would be sent on every connection, and end each of them. So it is a gap in the numbers.
      this.#onInvalid(numbered, error.message);
      return;
    }
    this.#waiting.push(numbered);
    if (this.#waiting.length > this.#limit) {
      this.#waiting.shift();
    }
    if (this.#scheduled) {
      return;
    }
    this.#scheduled = true;
    // Events of one pass are sent together.
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

  /** All events that are not acknowledged. A new connection begins with them. */
  greeting(): EventsMessage[] {
    return this.#after(0);
  }

  /**
   * The controller has all events up to this one. Messages about another epoch, and repeated ones,
   * change nothing.
   */
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
