/** The one stream of a tab of the console: several topics, and events. */
import type { Event, EventGap } from '@mirrorplane/contract';
import type { EventLog } from '../events/log.ts';
import { type PacedOptions, PacedStream } from '../events/paced-stream.ts';
import type { Topic } from './topic.ts';

/** Events of one message at most. */
const MAX_EVENTS_AT_ONCE = 100;

export interface TopicStreamOptions extends PacedOptions {
  topics: readonly (readonly [name: string, topic: Topic])[];
  /** Undefined: events are not read. They begin behind this id. */
  events?: { log: EventLog; after: number; wanted: (event: Event) => boolean } | undefined;
  /** The first message. */
  hello: object;
  /** Milliseconds since 1970. */
  clock: () => number;
}

/**
 * It keeps of each topic which version its reader knows. What has changed since is sent when the
 * reader has room for it: a slow reader gets fewer messages, and each has all changes in it.
 */
export class TopicStream extends PacedStream {
  readonly #topics: { name: string; topic: Topic; known: number | undefined }[];
  readonly #events: EventLog | undefined;
  readonly #wanted: (event: Event) => boolean;
  readonly #clock: () => number;
  readonly #unsubscribe: () => void;
  /** All events up to this id were sent. */
  #cursor: number;

  constructor({ topics, events, hello, clock, ...options }: TopicStreamOptions) {
    super(options);
    this.#topics = topics.map(([name, topic]) => ({ name, topic, known: undefined }));
    this.#events = events?.log;
    this.#wanted = events?.wanted ?? (() => true);
    this.#clock = clock;
    this.#cursor = events?.after ?? 0;
    this.#unsubscribe = events?.log.onAppended(() => this.pump()) ?? (() => undefined);
    this.begin(this.#cursor);
    this.push(message('hello', JSON.stringify(hello)));
  }

  /** Something may have changed. */
  tell(): void {
    this.pump();
  }

  protected override stopped(): void {
    this.#unsubscribe();
  }

  protected override beat(): void {
    this.send(message('heartbeat', JSON.stringify({ serverTime: new Date(this.#clock()).toISOString() })));
  }

  protected override pump(): void {
    for (const one of this.#topics) {
      const news = this.ready ? one.topic.since(one.known) : undefined;
      if (news) {
        one.known = news.version;
        this.send(message(one.name, news.data));
      }
    }
    if (this.#events) {
      this.#pumpEvents(this.#events);
    }
  }

  #pumpEvents(log: EventLog): void {
    while (this.ready && this.#cursor !== log.last) {
      const items: Event[] = [];
      for (const event of log.since(this.#cursor > log.last ? 0 : this.#cursor)) {
        if (items.length < MAX_EVENTS_AT_ONCE) {
          items.push(event);
        }
      }
      const resumed = (items[0]?.id ?? log.last + 1) - 1;
      const gap: EventGap | undefined = resumed === this.#cursor ? undefined : { after: this.#cursor, resumed };
      this.#cursor = items.at(-1)?.id ?? log.last;
      const seen = items.filter(this.#wanted);
      this.send(message('events', JSON.stringify({ items: seen, ...(gap && { gap }) }), this.#cursor));
    }
  }
}

function message(name: string, data: string, id?: number): string {
  return `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
}
