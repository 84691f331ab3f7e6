/**
 * All streams of the console, and the topics that they read: each topic is looked at once a second,
 * for all its readers.
 */
import type { History } from '../history/history.ts';
import type { TopicSources } from './sources.ts';
import { Topic } from './topic.ts';
import type { TopicStream } from './topic-stream.ts';

/** What one reader may see of the items of a topic. */
export type TopicSight = (topic: string, items: ReadonlyMap<string, object>) => ReadonlyMap<string, object>;

interface Used {
  topic: Topic;
  readers: number;
}

export class StreamHub {
  readonly #sources: TopicSources;
  readonly #topics = new Map<string, Used>();
  readonly #streams = new Set<TopicStream>();
  /** Readers that do not see everything have topics of their own. */
  readonly #sights = new WeakMap<TopicSight, number>();
  #lastSight = 0;
  readonly #unsubscribe: () => void;

  constructor(history: History, sources: TopicSources) {
    this.#sources = sources;
    this.#unsubscribe = history.onSecond(() => this.#second());
  }

  /**
   * Topics of a new reader.
   * @param names topics that there are, see `isTopic`
   * @param sight what the reader may see. Undefined: everything, and the topics are shared
   */
  open(names: readonly string[], sight?: TopicSight): [name: string, topic: Topic][] {
    return names.map((name) => {
      const key = this.#keyOf(name, sight);
      const used = this.#topics.get(key) ?? { topic: new Topic(this.#sourceOf(name, sight)), readers: 0 };
      if (used.readers === 0) {
        used.topic.refresh();
      }
      used.readers++;
      this.#topics.set(key, used);
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

  #sourceOf(name: string, sight: TopicSight | undefined): () => ReadonlyMap<string, object> {
    const source = this.#sources(name);
    return sight === undefined ? source : () => sight(name, source());
  }

  close(): void {
    this.#unsubscribe();
  }

  #second(): void {
    if (this.#streams.size === 0) {
      return;
    }
    for (const { topic } of this.#topics.values()) {
      topic.refresh();
    }
    for (const stream of this.#streams) {
      stream.tell();
    }
  }
}
