/**
 * Stores the last program on disk. So a node keeps its whole data plane across a restart, also
 * without a controller.
 */
import { readFile } from 'node:fs/promises';
import { replaceFile, Serial } from '@mirrorplane/base';
import { asItCame, NodeProgram } from '@mirrorplane/contract';

/** Stores one program in one file. */
export class ProgramFile {
  readonly #path: string;
  readonly #saving = new Serial();
  #next: NodeProgram | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The last saved program. Undefined if there is none. @throws Error if the file contains no
   * program
   */
  async load(): Promise<NodeProgram | undefined> {
    let content: string;
    try {
      content = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        return undefined;
      }
      throw error;
    }
    try {
      const stored: unknown = JSON.parse(content);
      return asItCame(stored, NodeProgram.parse(stored));
    } catch (cause) {
      throw new Error(`${this.#path} is not a program of this version`, { cause });
    }
  }

  /**
   * Saves a program. Of several waiting calls, only the newest is written. Resolves when this
   * program or a newer one is on disk.
   */
  save(program: NodeProgram): Promise<void> {
    this.#next = program;
    return this.#saving.run(async () => {
      const newest = this.#next;
      if (newest === undefined) {
        return;
      }
      this.#next = undefined;
      try {
        await replaceFile(this.#path, JSON.stringify(newest));
      } catch (error) {
        this.#next ??= newest; // A call that waits for it tries again, and says what came of it.
        throw error;
      }
    });
  }

  /** Resolves when no write is running. */
  async settled(): Promise<void> {
    await this.#saving.settled();
  }
}
