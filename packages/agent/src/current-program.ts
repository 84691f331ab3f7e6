/** The node program in force, and the newest one, which is saved before it comes into force. */
import { atMost } from '@mirrorplane/base';
import {
  emptyProgram,
  type NodeProblem,
  type NodeProgram,
  numbered,
  ownOf,
  type PolicyPart,
  type ProgramDifference,
  partsOf,
  programOf,
  UNPLANNED_REVISION,
} from '@mirrorplane/contract';
import { withDifference } from '@mirrorplane/contract/program-difference';
import type { ProgramFile } from './host/program-file.ts';
import { type Logger, reason } from './log.ts';

/**
 * The longest time that saving a program delays it, milliseconds. Then it is carried out unsaved.
 */
const SAVE_LIMIT_MS = 1000;
/** Milliseconds until a program that could not be stored is stored again. */
const SAVE_AGAIN_MS = 10_000;

interface CurrentProgramParts {
  node: string;
  programs: Pick<ProgramFile, 'load' | 'save'>;
  /** Gives equal parts as one object. Left out: each program has its own. */
  sharePart?: (part: PolicyPart) => PolicyPart;
  log: Logger;
  /** Called when another program is in force, and when `problems` has changed. */
  changed: () => void;
}

export class CurrentProgram {
  readonly #parts: CurrentProgramParts;
  #inForce: NodeProgram | undefined;
  /** The newest program of the controller. It becomes `#inForce` when it is saved. */
  #newest: NodeProgram | undefined;
  #taking: Promise<void> = Promise.resolve();
  /** Why the newest program is not on the disk. Undefined: it is, or it is not known yet. */
  #unsaved: string | undefined;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: CurrentProgramParts) {
    this.#parts = parts;
  }

  /** Undefined until there is one. */
  get inForce(): NodeProgram | undefined {
    return this.#inForce;
  }

  /** The newest program, also before it is in force. Undefined: there is none. */
  get newest(): NodeProgram | undefined {
    return this.#newest ?? this.#inForce;
  }

  /** That the newest program could not be stored. It is in force all the same. */
  problems(): NodeProblem[] {
    return this.#unsaved === undefined ? [] : [{ code: 'PROGRAM_UNSAVED', message: this.#unsaved }];
  }

  /**
   * Puts the saved program of the previous run in force.
   * @returns it; undefined if there is none
   */
  async load(): Promise<NodeProgram | undefined> {
    try {
      const program = await this.#parts.programs.load();
      if (program !== undefined && this.#isOurs(program)) {
        this.#inForce = this.#shared(program);
      }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'the stored program is not used');
    }
    return this.#inForce;
  }

  /**
   * Accepts a program of the controller. It is saved first, and then carried out. Otherwise an
   * agent that is killed in between would start with an older program than the one that it has
   * reported.
   */
  take(whole: NodeProgram): void {
    if (!this.#isOurs(whole)) {
      return;
    }
    const program = this.#shared(whole);
    this.#newest = program;
    // A full or blocked disk must not stop mirroring.
    this.#taking = this.#save(program).then(() => {
      if (this.#newest !== program) {
        return;
      }
      this.#inForce = program;
      this.#parts.changed();
    });
  }

  /**
   * Accepts what the controller has changed of the newest program, as `take` does.
   * @returns false: it does not fit, and nothing of it is used
   */
  takeDifference(difference: ProgramDifference): boolean {
    const { newest } = this;
    const program = newest && withDifference(newest, difference);
    if (program !== undefined) {
      this.take(program);
    }
    return program !== undefined;
  }

  /**
   * The controller no longer has this node: it was deleted, or registered again for another host.
   * The node stops copying.
   */
  dismiss(): void {
    const { node, log } = this.#parts;
    const current = this.newest;
    if (!current || current.captures.length + current.deliveries.length + current.terminations.length === 0) {
      return;
    }
    log.warn({ node }, 'the node is no longer registered: all copying on this node ends');
    this.take(emptyProgram(node, UNPLANNED_REVISION));
  }

  /** Resolves when the newest program is in force. */
  async settled(): Promise<void> {
    await this.#taking;
  }

  /** Ends all tries to store a program once more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
  }

  /** Resolves when a program is on the disk, or cannot be stored, or after `SAVE_LIMIT_MS`. */
  async #save(program: NodeProgram): Promise<void> {
    const { programs, log } = this.#parts;
    const { revision } = program;
    this.#later(() => {
      log.warn({ revision }, 'the disk does not take the program');
      this.#noteUnsaved(program, `the disk has not taken it for ${SAVE_AGAIN_MS / 1000} s`);
    });
    const failed = (error: unknown) => {
      if (this.#newest !== program) {
        return; // What becomes of the newer one counts.
      }
      const why = reason(error);
      if (why !== this.#unsaved) {
        log.error({ err: error, revision }, 'the program could not be stored');
      }
      this.#noteUnsaved(program, why);
      this.#later(() => void this.#save(program));
    };
    await atMost(
      programs.save(program).then(() => this.#noteSaved(program), failed),
      SAVE_LIMIT_MS,
    );
  }

  #later(run: () => void): void {
    clearTimeout(this.#again);
    // A write that fails after the end would replace the program of the next agent with this one.
    if (!this.#closed) {
      this.#again = setTimeout(run, SAVE_AGAIN_MS).unref();
    }
  }

  #noteSaved(program: NodeProgram): void {
    if (this.#newest !== program) {
      return;
    }
    clearTimeout(this.#again);
    if (this.#unsaved !== undefined) {
      this.#parts.log.info({ revision: program.revision }, 'the program is stored again');
      this.#unsaved = undefined;
      this.#tellProblems(program);
    }
  }

  #noteUnsaved(program: NodeProgram, why: string): void {
    if (this.#unsaved !== why) {
      this.#unsaved = why;
      this.#tellProblems(program);
    }
  }

  /** A program that is not in force yet tells them with it. */
  #tellProblems(program: NodeProgram): void {
    if (this.#inForce === program) {
      this.#parts.changed();
    }
  }

  #shared(program: NodeProgram): NodeProgram {
    const { sharePart } = this.#parts;
    return sharePart ? numbered(programOf(ownOf(program), partsOf(program).map(sharePart)), program.revision) : program;
  }

  #isOurs(program: NodeProgram): boolean {
    if (program.node === this.#parts.node) {
      return true;
    }
    this.#parts.log.error({ node: program.node }, 'a program for another node is refused');
    return false;
  }
}
