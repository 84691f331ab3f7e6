/** Divides what is read of an audit log into lines. */

const LINE_END = 0x0a;

/** Takes pieces of any size, and gives whole lines. */
export class LineSplitter {
  /** Pieces of a line whose end has not come yet. */
  #rest: Buffer[] = [];

  /** The lines that end in this piece, without their ends. */
  push(piece: Buffer): string[] {
    const lines: string[] = [];
    let begin = 0;
    for (let end = piece.indexOf(LINE_END); end >= 0; end = piece.indexOf(LINE_END, begin)) {
      this.#rest.push(piece.subarray(begin, end));
      lines.push(Buffer.concat(this.#rest).toString());
      this.#rest = [];
      begin = end + 1;
    }
    if (begin < piece.length) {
      this.#rest.push(piece.subarray(begin));
    }
    return lines;
  }

  /** Whether a line has begun that has no end. */
  get isTorn(): boolean {
    return this.#rest.length > 0;
  }
}
