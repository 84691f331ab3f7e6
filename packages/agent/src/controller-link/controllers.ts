/**
 * The controllers that an agent can connect to, and the highest term of a leader that it knows. Both
 * are kept in the data folder.
 */
import { readFile } from 'node:fs/promises';
import { replaceFile, Serial } from '@mirrorplane/base';
import { type LeaderMessage, MAX_CONTROLLERS, Term } from '@mirrorplane/contract';
import * as z from 'zod';
import type { Logger } from '../log.ts';
import { parseController } from './enroll.ts';

const Kept = z.object({
  term: Term,
  controllers: z.array(z.string()).max(MAX_CONTROLLERS),
  last: z.string().optional(),
});
type Kept = z.infer<typeof Kept>;

interface Parts {
  /** HOST:PORT of controllers, at least one, as the operator has given them. */
  given: readonly string[];
  /** Where the rest is kept. Undefined: it is not. */
  file?: string;
  log: Logger;
}

export class KnownControllers {
  readonly #given: readonly string[];
  readonly #file: string | undefined;
  readonly #log: Logger;
  readonly #writes = new Serial();
  #kept: Kept;
  #all: string[] = [];
  #at = 0;
  /** Addresses that were left since one was reached. */
  #failed = 0;

  private constructor({ given, file, log }: Parts, kept: Kept) {
    this.#given = given;
    this.#file = file;
    this.#log = log;
    this.#kept = kept;
    this.#list(kept.last ?? given[0]!);
  }

  /** Controllers that are not kept. @param given HOST:PORT of each */
  static of(given: readonly string[], log: Logger): KnownControllers {
    return new KnownControllers({ given, log }, { term: 0, controllers: [] });
  }

  /** Reads what an earlier start has kept. A file that cannot be read is as none. */
  static async load(parts: Parts & { file: string }): Promise<KnownControllers> {
    let kept: Kept = { term: 0, controllers: [] };
    try {
      kept = Kept.parse(JSON.parse(await readFile(parts.file, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        parts.log.error({ err: error }, 'the stored list of controllers is not used');
      }
    }
    return new KnownControllers(parts, kept);
  }

  /** The one to connect to. */
  get current(): string {
    return this.#all[this.#at]!;
  }

  /** Whether there is more than one. */
  get areSeveral(): boolean {
    return this.#all.length > 1;
  }

  /** The highest term of a leader that was seen. 0: none was. */
  get term(): number {
    return this.#kept.term;
  }

  /** The current one did not answer, or has ended the connection: the next one is current. @returns false: all were tried */
  next(): boolean {
    this.#at = (this.#at + 1) % this.#all.length;
    this.#failed++;
    return this.#failed < this.#all.length;
  }

  /** A round through all of them is over: another one begins. */
  again(): void {
    this.#failed = 0;
  }

  /** The current one has answered with a message. */
  reached(): void {
    this.#failed = 0;
    if (this.#kept.last !== this.current) {
      this.#keep({ last: this.current });
    }
  }

  /** A leader names itself and the others. @returns false: another one leads by now */
  learn({ term, controllers }: LeaderMessage): boolean {
    if (term < this.#kept.term) {
      return false;
    }
    const usable = controllers.filter(isAddress).slice(0, MAX_CONTROLLERS);
    if (term !== this.#kept.term || usable.join() !== this.#kept.controllers.join()) {
      this.#keep({ term, controllers: usable });
      this.#list(this.current);
    }
    return true;
  }

  /** Resolves when all is kept. */
  async settled(): Promise<void> {
    await this.#writes.settled();
  }

  #list(current: string): void {
    this.#all = [...new Set([...this.#given, ...this.#kept.controllers])];
    this.#at = Math.max(0, this.#all.indexOf(current));
  }

  #keep(change: Partial<Kept>): void {
    this.#kept = { ...this.#kept, ...change };
    const file = this.#file;
    if (file === undefined) {
      return;
    }
    void this.#writes
      .run(() => replaceFile(file, JSON.stringify(this.#kept)))
      .catch((error: unknown) => this.#log.error({ err: error }, 'the list of controllers could not be stored'));
  }
}

function isAddress(text: string): boolean {
  try {
    parseController(text);
    return true;
  } catch {
    return false;
  }
}
