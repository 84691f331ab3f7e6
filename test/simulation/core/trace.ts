/** What has happened, in words, for a person who reads a schedule that failed. */

export class Trace {
  /** False: nothing is kept. */
  readonly enabled: boolean;
  readonly #most: number;
  readonly #lines: string[] = [];

  /** @param most lines that are kept; 0: none */
  constructor(most: number) {
    this.enabled = most > 0;
    this.#most = most;
  }

  /** Adds a line. @param text is made only where lines are kept @param now milliseconds */
  add(now: number, who: string, text: () => string): void {
    if (!this.enabled) {
      return;
    }
    this.#lines.push(`${(now / 1000).toFixed(3).padStart(9)}  ${who.padEnd(12)} ${text()}`);
    if (this.#lines.length > this.#most) {
      this.#lines.shift();
    }
  }

  /** The newest lines, the oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }
}
