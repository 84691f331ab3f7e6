/**
 * Whether operations on one resource are linearizable: there is an order of them, in which each has
 * its effect at one moment between its call and its answer, that explains all answers. The search is
 * the one of Wing and Gong, with the table of Lowe that tries no configuration twice.
 */
import type { Operation, Value } from './operation.ts';
import { ABSENT, type State, step, textOf } from './register.ts';

export interface Verdict {
  /** `undecided`: the search took too long. */
  verdict: 'linearizable' | 'impossible' | 'undecided';
  /** The longest order that was found. Operations without an answer may be missing. */
  order: Operation[];
  /** Operations with an answer that do not fit behind that order, and may be next. */
  stuck: Operation[];
  /** Configurations that were tried. */
  steps: number;
}

/** Configurations that are tried at most. */
const MAX_STEPS = 300_000;

/** One operation that was put into the order, and how to take it back. */
interface Frame {
  /** Index of the operation. */
  chosen: number;
  before: State;
  /** Indexes that were not tried yet at this place. */
  others: number[];
}

/** @param operations of one resource, in any order */
export function linearize(operations: readonly Operation[], maxSteps = MAX_STEPS): Verdict {
  const given = [...operations].sort((one, other) => one.invoked - other.invoked);
  const sorted = withoutUnseen(given);
  const pending = new Pending(sorted);
  const seen = new Tried();
  const frames: Frame[] = [];
  let state = ABSENT;
  let steps = 0;
  let best: Omit<Verdict, 'verdict' | 'steps'> = { order: [], stuck: [] };
  let bestAnswered = -1;
  const result = (verdict: Verdict['verdict']): Verdict => ({ verdict, ...best, steps });
  let others = pending.candidates();
  for (;;) {
    if (pending.answered > bestAnswered) {
      bestAnswered = pending.answered;
      const stuck = others.filter((index) => sorted[index]!.returned < Number.POSITIVE_INFINITY);
      best = { order: frames.map(({ chosen }) => given[chosen]!), stuck: stuck.map((index) => given[index]!) };
    }
    if (pending.isDone) {
      return result('linearizable');
    }
    const found = next(sorted, state, others);
    if (found !== undefined) {
      steps++;
      const { index, after } = found;
      pending.take(index);
      if (seen.has(`${pending.key()}|${textOf(after)}`, pending.unanswered)) {
        pending.giveBack(index);
        continue;
      }
      // What changes nothing can have its effect now, whatever comes later: nothing else is tried.
      frames.push({ chosen: index, before: state, others: after === state ? [] : others });
      state = after;
      others = pending.candidates();
    } else {
      const frame = frames.pop();
      if (frame === undefined) {
        return result('impossible');
      }
      pending.giveBack(frame.chosen);
      state = frame.before;
      others = frame.others;
    }
    if (steps > maxSteps) {
      return result('undecided');
    }
  }
}

/** The next operation that fits. Takes it, and those that do not fit, off the list. */
function next(sorted: readonly Operation[], state: State, candidates: number[]) {
  const quiet = candidates.findIndex((index) => step(state, sorted[index]!) === state);
  if (quiet >= 0) {
    return { index: candidates.splice(quiet, 1)[0]!, after: state };
  }
  for (let index = candidates.shift(); index !== undefined; index = candidates.shift()) {
    const after = step(state, sorted[index]!);
    if (after !== undefined) {
      return { index, after };
    }
  }
  return undefined;
}

/** What nobody has seen of a write without an answer. */
const UNSEEN = '?';

/**
 * The same operations. Where nobody has seen what a lost write would have written, it does not
 * matter what it was: all such writes become the same one.
 */
function withoutUnseen(operations: readonly Operation[]): Operation[] {
  const seen = new Set(operations.flatMap(({ outcome }) => ('value' in outcome ? Object.values(outcome.value) : [])));
  const hide = (value: Value): Value =>
    Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, typeof one !== 'string' || seen.has(one) ? one : UNSEEN]),
    );
  return operations.map((operation) => {
    const { outcome, request } = operation;
    if (outcome.kind !== 'unknown') {
      return operation;
    }
    return 'value' in request
      ? { ...operation, request: { ...request, value: hide(request.value) } }
      : 'change' in request
        ? { ...operation, request: { ...request, change: hide(request.change) } }
        : operation;
  });
}

/** Configurations that were tried. */
class Tried {
  readonly #configurations = new Map<string, ReadonlySet<number>[]>();

  /**
   * Whether a configuration was tried, or one that had more left: the same operations with an answer
   * were taken, and no other ones without. Notes it if not.
   */
  has(key: string, unanswered: ReadonlySet<number>): boolean {
    const tried = this.#configurations.get(key) ?? [];
    if (tried.some((fewer) => fewer.isSubsetOf(unanswered))) {
      return true;
    }
    tried.push(new Set(unanswered));
    this.#configurations.set(key, tried);
    return false;
  }
}

/** The operations that are not in the order yet. */
class Pending {
  readonly #sorted: readonly Operation[];
  readonly #taken: boolean[];
  /** The first operation with an answer that is not taken. */
  #base = 0;
  /** Operations without an answer that are taken: their indexes. */
  readonly unanswered = new Set<number>();
  readonly #withAnswer: number[];
  /** Operations without an answer: those that ask for the same are of one sort. */
  readonly #sorts: number[][];
  /** Operations with an answer that are taken. */
  answered = 0;

  constructor(sorted: readonly Operation[]) {
    this.#sorted = sorted;
    this.#taken = sorted.map(() => false);
    const indexes = sorted.map((_, index) => index);
    this.#withAnswer = indexes.filter((index) => sorted[index]!.returned < Number.POSITIVE_INFINITY);
    const without = indexes.filter((index) => sorted[index]!.returned === Number.POSITIVE_INFINITY);
    const sorts = Map.groupBy(without, (index) => JSON.stringify(sorted[index]!.request));
    this.#sorts = [...sorts.values()];
  }

  /** Whether all operations with an answer are taken. */
  get isDone(): boolean {
    return this.answered === this.#withAnswer.length;
  }

  take(index: number): void {
    this.#taken[index] = true;
    if (this.#isAnswered(index)) {
      this.answered++;
      while (this.#taken[this.#withAnswer[this.#base]!]) {
        this.#base++;
      }
    } else {
      this.unanswered.add(index);
    }
  }

  giveBack(index: number): void {
    this.#taken[index] = false;
    if (this.#isAnswered(index)) {
      this.answered--;
      while (this.#base > 0 && this.#withAnswer[this.#base - 1]! >= index) {
        this.#base--;
      }
      while (this.#taken[this.#withAnswer[this.#base]!]) {
        this.#base++;
      }
    } else {
      this.unanswered.delete(index);
    }
  }

  /**
   * Indexes of those that can be next: they were asked for before any other one had its answer.
   * Those with the earliest answer come first, and those without an answer last.
   */
  candidates(): number[] {
    let end = Number.POSITIVE_INFINITY;
    const found: number[] = [];
    for (let at = this.#base; at < this.#withAnswer.length; at++) {
      const index = this.#withAnswer[at]!;
      const { invoked, returned } = this.#sorted[index]!;
      if (invoked > end) {
        break;
      }
      if (!this.#taken[index]) {
        found.push(index);
        end = Math.min(end, returned);
      }
    }
    found.sort((one, other) => this.#sorted[one]!.returned - this.#sorted[other]!.returned);
    return [...found, ...this.#lost(end)];
  }

  /** One of each sort of operations without an answer: which one does not matter. */
  #lost(end: number): number[] {
    return this.#sorts.flatMap((sort) => {
      const first = sort.find((index) => !this.#taken[index]);
      return first !== undefined && this.#sorted[first]!.invoked <= end ? [first] : [];
    });
  }

  /** Which operations with an answer are taken, as a text. */
  key(): string {
    const beyond: number[] = [];
    for (let at = this.#base, left = this.answered - this.#base; left > 0; at++) {
      const index = this.#withAnswer[at]!;
      if (this.#taken[index]) {
        beyond.push(index);
        left--;
      }
    }
    return `${this.#base}:${beyond}`;
  }

  #isAnswered(index: number): boolean {
    return this.#sorted[index]!.returned < Number.POSITIVE_INFINITY;
  }
}
