/** Attaches the programs of one apply, and notes in its result what became of each. */
import type { ApplyResult, DatapathState } from '../datapath.ts';
import { repairOf } from './interference.ts';
import { type Attachment, attachmentKey } from './links.ts';
import { gaps } from './look-gaps.ts';
import type { Opened } from './opened.ts';
import { attachProblems } from './problems.ts';
import type { Placed } from './rows.ts';

export class AttachRun {
  readonly #opened: Opened;
  readonly #desired: DatapathState;
  readonly #result: ApplyResult;
  /** Keys of attached programs that belong to the state. */
  readonly kept = new Set<string>();
  /** Keys of programs that must be attached again, in front of the others. */
  pushedBack: ReadonlySet<string> = new Set();

  constructor(opened: Opened, desired: DatapathState, result: ApplyResult) {
    this.#opened = opened;
    this.#desired = desired;
    this.#result = result;
  }

  /** Whether there is no link yet. */
  isNew({ attachment }: Placed): boolean {
    return !this.#opened.links.holds(attachment);
  }

  /** Whether `attach` would have nothing to do. */
  isInPlace({ attachment }: Placed): boolean {
    return this.#opened.links.attached(attachment) && !this.pushedBack.has(attachmentKey(attachment));
  }

  /**
   * Attaches a program if it is not attached. A failure affects only the parts that need this
   * program. @returns whether it is attached now
   */
  attach(placed: Placed): boolean {
    try {
      if (!this.isInPlace(placed)) {
        this.#attachAnew(placed);
      }
      this.kept.add(attachmentKey(placed.attachment));
      return true;
    } catch (error) {
      this.#refuse(placed, error as Error & { code?: string });
      return false;
    }
  }

  /**
   * Marks refused captures whose unicast is still captured at the ports of the bridge.
   * @param unwatched ifindexes of bridges where not every entry is captured
   */
  noteArriving(unwatched: ReadonlySet<number>): void {
    const { arrivals = [], captures } = this.#desired;
    const watched = new Set(arrivals.filter(({ bridge }) => !unwatched.has(bridge)).map(({ ifindex }) => ifindex));
    const arriving = new Set(captures.filter(({ arrivalBridge }) => arrivalBridge !== undefined).map(({ id }) => id));
    for (const refusal of this.#result.refused) {
      if (!refusal.gone && arriving.has(refusal.id) && watched.has(refusal.ifindex)) {
        refusal.arrives = true;
      }
    }
  }

  /** Detaches and attaches directly after each other. Packets in between are missed. */
  #attachAnew({ attachment, capture }: Placed): void {
    const { links, installation } = this.#opened;
    const takenOff = links.wasTakenOff(attachment);
    links.attach(attachment, installation.programs.get(attachment.program)!);
    const { repaired } = this.#result;
    this.#result.attached++;
    if (takenOff) {
      repaired.push(repairOf('takenOff', attachment));
    } else if (capture && !repaired.some(isOf(attachment))) {
      this.#result.begun.push(capture.id);
      this.#result.begunAt = performance.now();
    }
  }

  #refuse(placed: Placed, { message, code: cause }: Error & { code?: string }): void {
    const gone = cause === 'ENODEV';
    const code = cause === 'HOOK_OCCUPIED' ? cause : 'ATTACH_FAILED';
    if (placed.capture) {
      const { id, ifindex } = placed.capture;
      this.#result.refused.push({ id, ifindex, code, message, ...(gone && { gone }) });
    } else if (placed.looks) {
      this.#result.unseen.push(...gaps(placed, message));
    } else if (!gone) {
      // A removed device needs no program. Its removal is reported separately.
      this.#result.problems.push(...attachProblems(placed, this.#desired, code, message));
    }
  }
}

/** Whether a repair was about this program of this device. */
function isOf({ program, ifindex }: Attachment) {
  return (repair: { program?: string; ifindex?: number }) => repair.program === program && repair.ifindex === ifindex;
}
