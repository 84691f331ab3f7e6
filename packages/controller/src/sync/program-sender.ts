/**
 * Sends programs on one connection: whole, or as differences to what the agent has. TCP delivers
 * them in order, so what was sent is what the agent has.
 */
import type { HeldParts, HeldProgram, Hello, NodeProgram } from '@mirrorplane/contract';
import { differenceOf, heldProgram, isSameProgram } from '@mirrorplane/contract/program-difference';
import { differenceText, programText } from '../planning/program-text.ts';

export class ProgramSender {
  readonly #tell: (text: string) => void;
  #takesDifferences = false;
  /** What the agent had when it connected. */
  #held: HeldProgram | undefined;
  /** The last program that the agent was sent, or has without that. */
  #last: NodeProgram | undefined;
  /** The program that is sent once the agent has said which parts it has. */
  #waiting: NodeProgram | undefined;

  /** @param tell sends a text to the agent */
  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** The agent has said what it has, and whether it takes differences. */
  begin({ takesDifferences, program }: Pick<Hello, 'takesDifferences' | 'program'>): void {
    this.#takesDifferences = takesDifferences === true;
    this.#held = program;
  }

  /** Revision of the last program. 0: none. */
  get revision(): number {
    return (this.#waiting ?? this.#last)?.revision ?? 0;
  }

  /** The agent is to have this program, unless this connection already got its revision. */
  send(program: NodeProgram): void {
    if (this.revision === program.revision && this.revision !== 0) {
      return;
    }
    if (!this.#takesDifferences) {
      this.sendWhole(program);
    } else if (this.#waiting) {
      this.#waiting = program;
    } else if (this.#last) {
      this.#sendChange(this.#last, program);
    } else if (this.#held) {
      this.#sendFirst(this.#held, program);
    } else {
      this.sendWhole(program);
    }
  }

  /** Sends a program as it is. */
  sendWhole(program: NodeProgram): void {
    this.#waiting = undefined;
    this.#last = program;
    this.#tell(`{"type":"program","program":${programText(program)}}`);
  }

  /**
   * The agent asks for the program. If a difference did not fit, it gets whole programs from now
   * on: nothing can be lost between the two, so one of them is wrong.
   * @param have the parts that it has. Undefined: it wants the whole program
   * @returns what is wrong with the question. Undefined: it is answered
   */
  wanted(have: HeldParts | undefined): string | undefined {
    const program = this.#waiting ?? this.#last;
    if (!this.#takesDifferences || program === undefined || (have && !this.#waiting)) {
      return 'a program is asked for that was not offered';
    }
    this.#waiting = undefined;
    if (have) {
      this.#sendChange(have, program);
    } else {
      this.#takesDifferences = false;
      this.sendWhole(program);
    }
    return undefined;
  }

  /** An agent that has the program gets nothing. One that has another program says of what parts. */
  #sendFirst(held: HeldProgram, program: NodeProgram): void {
    if (isSameProgram(held, heldProgram(program))) {
      this.#last = program;
    } else {
      this.#waiting = program;
      this.#tell('{"type":"partsWanted"}');
    }
  }

  #sendChange(before: NodeProgram | HeldParts, program: NodeProgram): void {
    const difference = differenceOf(before, program);
    if (difference === undefined) {
      this.sendWhole(program);
    } else {
      this.#last = program;
      this.#tell(`{"type":"programDifference","difference":${differenceText(difference)}}`);
    }
  }
}
