/**
 * Tells the controller which program the agent has, and takes programs and differences. Nothing of
 * a difference that does not fit is used: the agent then asks for the whole program.
 */
import {
  type Hello,
  MAX_PROGRAM_PARTS,
  type NodeProgram,
  PART_BYTES,
  type ProgramDifference,
  type ProgramWantedMessage,
  partsOf,
} from '@mirrorplane/contract';
import { heldParts, heldProgram } from '@mirrorplane/contract/program-difference';
import type { CurrentProgram } from './current-program.ts';
import type { Logger } from './log.ts';
import type { ControllerLink } from './reporter.ts';

interface ProgramLinkParts {
  program: CurrentProgram;
  log: Logger;
}

export class ProgramLink {
  readonly #parts: ProgramLinkParts;
  #link: ControllerLink | undefined;
  /** The whole program is asked for. Until it comes, differences do not fit either. */
  #hasAsked = false;

  constructor(parts: ProgramLinkParts) {
    this.#parts = parts;
  }

  /** Sets the controller link for questions. */
  connect(link: ControllerLink): void {
    this.#link = link;
  }

  /** What a hello says of programs. A new connection begins with it. */
  greeting(): Pick<Hello, 'takesDifferences' | 'program'> {
    const { newest } = this.#parts.program;
    this.#hasAsked = false;
    return { takesDifferences: true, ...(newest && { program: heldProgram(newest) }) };
  }

  /** Accepts a program of the controller. */
  take(program: NodeProgram): void {
    this.#hasAsked = false;
    this.#parts.program.take(program);
  }

  /** Accepts a difference to the newest program. @param difference undefined: it could not be read */
  takeDifference(difference: ProgramDifference | undefined): void {
    const { program, log } = this.#parts;
    if (this.#hasAsked || (difference && program.takeDifference(difference))) {
      return;
    }
    log.error(
      { revision: difference?.result.revision, base: difference?.base.revision, has: program.newest?.revision },
      'a change of the program does not fit, so the whole program is asked for',
    );
    this.#hasAsked = true;
    this.#ask({});
  }

  /** The controller asks for the parts of the newest program. With too many, all are wanted. */
  tellParts(): void {
    const { newest } = this.#parts.program;
    const have = newest && partsOf(newest).length <= MAX_PROGRAM_PARTS ? heldParts(newest) : undefined;
    this.#ask(have && JSON.stringify(have).length <= PART_BYTES ? { have } : {});
  }

  #ask(question: Omit<ProgramWantedMessage, 'type'>): void {
    this.#link?.send({ type: 'programWanted', ...question });
  }
}
