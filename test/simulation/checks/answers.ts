/**
 * Answers of the API against the store: what was acknowledged is there, and nothing is read that is
 * older than one that was given before.
 */
import type { StoreEvent } from '@mirrorplane/controller/testing/control';
import type { Answer } from '../world/api-answer.ts';
import type { World } from '../world/world.ts';
import { Violation } from './violation.ts';

const PREFIX = 'policies/';
/** What is compared of a policy. */
type Fields = Record<string, unknown>;

/** What a policy has been, the oldest first. Undefined: there was none. */
interface Past {
  versions: (Fields | undefined)[];
  /** The newest version that an answer has shown, from a moment on. */
  shown: { at: number; index: number }[];
}

export class Answers {
  readonly #world: World;
  readonly #policies = new Map<string, Past>();
  violation: Violation | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async follow(): Promise<void> {
    await this.#world.follow((events) => {
      for (const event of events) {
        this.#take(event);
      }
    });
    this.#world.answered = (answer) => this.#check(answer);
  }

  #take(event: StoreEvent): void {
    const key = event.type === 'put' ? event.entry.key : event.key;
    if (key.startsWith(PREFIX)) {
      this.#of(key.slice(PREFIX.length)).versions.push(event.type === 'put' ? fieldsOf(event.entry.value) : undefined);
    }
  }

  #check({ request: { method, path, params }, askedAt, status, body }: Answer): void {
    if (path !== 'policies/{name}') {
      return;
    }
    const name = params.name!;
    const { versions, shown } = this.#of(name);
    const wanted = method === 'delete' ? undefined : JSON.stringify(fieldsOf(body));
    const least = shown.findLast(({ at }) => at < askedAt)?.index ?? 0;
    const index = versions.findIndex((one, at) => at >= least && (one && JSON.stringify(one)) === wanted);
    if (index < 0) {
      const said = `${method} ${name}: ${status} ${wanted ?? 'gone'}`;
      this.violation ??= new Violation(`an answer of the API is older than an earlier one, or not stored: ${said}`);
    } else if (index > (shown.at(-1)?.index ?? 0)) {
      shown.push({ at: this.#world.scheduler.now, index });
    }
  }

  #of(name: string): Past {
    const past = this.#policies.get(name) ?? { versions: [undefined], shown: [] };
    this.#policies.set(name, past);
    return past;
  }
}

function fieldsOf(value: unknown): Fields {
  const { sources, destination, enabled, percent, direction } = value as Fields;
  return { sources, destination, enabled, percent, direction };
}
