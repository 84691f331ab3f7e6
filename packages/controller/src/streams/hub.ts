/**
 * All streams of the console, and the topics that they read: each topic is looked at once a second,
 * for all its readers.
 */
import type { History } from '../history/history.ts';
import type { TopicSources } from './sources.ts';
import { Topic } from './topic.ts';
import type { TopicStream } from './topic-stream.ts';

interface Used {
  topic: Topic;
  readers: number;
}

export class StreamHub {
  readonly #sources: TopicSources;
  readonly #topics = new Map<string, Used>();
  readonly #streams = new Set<TopicStream>();
  readonly #unsubscribe: () => void;

  constructor(history: History, sources: TopicSources) {
    this.#sources = sources;
    this.#unsubscribe = history.onSecond(() => this.#second());
  }

  /** Topics of a new reader. @param names topics that there are, see `isTopic` */
  open(names: readonly string[]): [name: string, topic: Topic][] {
    return names.map((name) => {
      const used = this.#topics.get(name) ?? { topic: new Topic(this.#sources(name)), readers: 0 };
      if (used.readers === 0) {
        used.topic.refresh();
      }
      used.readers++;
      this.#topics.set(name, used);
      return [name, used.topic];
    });
  }

  /** The stream reads its topics from now on, until it is closed. */
  add(stream: TopicStream, names: readonly string[]): void {
    this.#streams.add(stream);
    stream.once('close', () => {
      this.#streams.delete(stream);
      for (const name of names) {
        const used = this.#topics.get(name)!;
        used.readers--;
        if (used.readers === 0) {
          this.#topics.delete(name);
        }
      }
    });
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
