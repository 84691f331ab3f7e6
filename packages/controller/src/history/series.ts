/**
 * One rate over time: the last five minutes second by second, and the last hour in steps of ten
 * seconds.
 */

/** Points that are kept, and seconds of each. */
export const FINE = { step: 1, points: 300 };
export const COARSE = { step: 10, points: 360 };

/** Bytes that one series takes, beside some hundred for the object. */
export const SERIES_BYTES = (FINE.points + COARSE.points) * Float32Array.BYTES_PER_ELEMENT;

/** Numbers by time. What is not known is not a number. */
export class Series {
  readonly #fine = new Float32Array(FINE.points).fill(Number.NaN);
  readonly #coarse = new Float32Array(COARSE.points).fill(Number.NaN);
  /** The newest second that was set. */
  #last = 0;
  /** Of the newest coarse step: what is known of it. */
  #sum = 0;
  #known = 0;

  /** @param like a series of which everything that is known is 0 here */
  constructor(like?: Series) {
    if (like) {
      this.#last = like.#last;
      this.#known = like.#known;
      like.#fine.forEach((value, at) => {
        this.#fine[at] = Number.isNaN(value) ? value : 0;
      });
      like.#coarse.forEach((value, at) => {
        this.#coarse[at] = Number.isNaN(value) ? value : 0;
      });
    }
  }

  /**
   * Sets the newest second. Those between it and the one before are not known.
   * @param value undefined: not known
   */
  set(second: number, value: number | undefined): void {
    forget(this.#fine, this.#last + 1, second);
    const [before, step] = [Math.floor(this.#last / COARSE.step), Math.floor(second / COARSE.step)];
    if (step !== before) {
      forget(this.#coarse, before + 1, step);
      [this.#sum, this.#known] = [0, 0];
    }
    this.#last = second;
    this.#fine[second % FINE.points] = value ?? Number.NaN;
    if (value !== undefined) {
      this.#sum += value;
      this.#known++;
      this.#coarse[step % COARSE.points] = this.#sum / this.#known;
    }
  }

  /** The step of a resolution that begins at this second; null: not known. */
  at(second: number, { step, points }: typeof FINE): number | null {
    const [at, last] = [Math.floor(second / step), Math.floor(this.#last / step)];
    const value =
      at > last || at <= last - points ? Number.NaN : (step === 1 ? this.#fine : this.#coarse)[at % points]!;
    return Number.isNaN(value) ? null : value;
  }

  /**
   * The mean of what is known of some seconds, the first one included and the last one not; null:
   * nothing is.
   */
  mean(from: number, to: number): number | null {
    let [sum, known] = [0, 0];
    for (let second = from; second < to; second++) {
      const value = this.at(second, FINE);
      if (value !== null) {
        sum += value;
        known++;
      }
    }
    return known === 0 ? null : sum / known;
  }
}

/** Places between the last one that was set and the next one, this included. */
function forget(values: Float32Array, from: number, to: number): void {
  for (let at = Math.max(from, to - values.length + 1); at <= to; at++) {
    values[at % values.length] = Number.NaN;
  }
}
