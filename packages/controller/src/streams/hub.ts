/**
 * All streams of the console, and the topics that they read: each topic is looked at once a second,
 * for all its readers.
 */
import { inTurns, inTurnsBeside } from '@mirrorplane/base';
import type { History } from '../history/history.ts';
import type { TopicItems } from './items.ts';
import type { TopicSources } from './sources.ts';
import { Topic } from './topic.ts';
import type { TopicStream } from './topic-stream.ts';

/** What one reader may see of the items of a topic. */
export type TopicSight = (topic: string, items: TopicItems) => TopicItems;

/** Seconds that a topic is kept for a reader who is about to come. */
const AWAITED_SECONDS = 10;
/** Topics that are made of the statuses of many policies. */
const OF_STATUSES = /^(\d+\/)?(policies|destination)/;

interface Used {
  topic: Topic;
  readers: number;
  /** Seconds that nobody has read it. */
  idle: number;
  /** Its items are being looked at. */
  looking: Promise<unknown> | undefined;
}

interface Parts {
  history: History;
  sources: TopicSources;
  /** Makes statuses of policies that have changed, in steps. */
  freshen: () => Generator<unknown>;
  failed: (error: unknown) => void;
}

export class StreamHub {
  readonly #parts: Parts;
  readonly #topics = new Map<string, Used>();
  readonly #streams = new Set<TopicStream>();
  /** Readers that do not see everything have topics of their own. */
  readonly #sights = new WeakMap<TopicSight, number>();
  #lastSight = 0;
  #isBusy = false;
  readonly #unsubscribe: () => void;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#unsubscribe = parts.history.onSecond(() => void this.#second());
  }

  /** Looks at topics for a reader who is about to open them, in turns with everything else. */
  async prepare(names: readonly string[], sight?: TopicSight): Promise<void> {
    for (const name of names) {
      const used = this.#used(name, sight);
      // While nobody reads it, no second looks at it.
      if (used.readers === 0) {
        await this.#look(used);
      }
    }
  }

  /**
   * Topics of a new reader.
   * @param names topics that there are, see `isTopic`
   * @param sight what the reader may see. Undefined: everything, and the topics are shared
   */
  open(names: readonly string[], sight?: TopicSight): [name: string, topic: Topic][] {
    return names.map((name) => {
      const used = this.#used(name, sight);
      if (!used.topic.isKnown && used.looking === undefined) {
        used.topic.refresh();
      }
      used.readers++;
      return [name, used.topic];
    });
  }

  /** The stream reads its topics from now on, until it is closed. */
  add(stream: TopicStream, names: readonly string[], sight?: TopicSight): void {
    this.#streams.add(stream);
    stream.once('close', () => {
      this.#streams.delete(stream);
      for (const key of names.map((name) => this.#keyOf(name, sight))) {
        const used = this.#topics.get(key)!;
        used.readers--;
        if (used.readers === 0) {
          this.#topics.delete(key);
        }
      }
    });
  }

  #keyOf(name: string, sight: TopicSight | undefined): string {
    if (sight === undefined) {
      return name;
    }
    const number = this.#sights.get(sight) ?? ++this.#lastSight;
    this.#sights.set(sight, number);
    return `${number}/${name}`;
  }

  #used(name: string, sight: TopicSight | undefined): Used {
    const key = this.#keyOf(name, sight);
    const source = this.#parts.sources(name);
    const topic = () => new Topic(sight === undefined ? source : () => sight(name, source()));
    const used = this.#topics.get(key) ?? { topic: topic(), readers: 0, idle: 0, looking: undefined };
    used.idle = 0;
    this.#topics.set(key, used);
    return used;
  }

  close(): void {
    this.#unsubscribe();
  }

  async #second(): Promise<void> {
    if (this.#topics.size === 0 || this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    try {
      if (this.#topics.keys().some((key) => OF_STATUSES.test(key))) {
        await inTurnsBeside(this.#parts.freshen());
      }
      for (const [key, used] of this.#topics) {
        used.idle = used.readers > 0 ? 0 : used.idle + 1;
        if (used.idle > AWAITED_SECONDS) {
          this.#topics.delete(key);
        } else if (used.readers > 0) {
          // One that cannot be made keeps no other one from its readers.
          await this.#look(used).catch(this.#parts.failed);
        }
      }
      for (const stream of this.#streams) {
        stream.tell();
      }
    } catch (error) {
      this.#parts.failed(error);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Looks at the items of a topic, once for all who ask for it until then. */
  #look(used: Used): Promise<unknown> {
    used.looking ??= inTurns(used.topic.steps()).finally(() => {
      used.looking = undefined;
    });
    return used.looking;
  }
}
