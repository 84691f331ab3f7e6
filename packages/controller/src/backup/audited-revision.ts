/** The highest revision that an audit log names. */
import { LineSplitter } from '@mirrorplane/contract/audit-lines';

/** In a text of JSON, a quotation mark has a backslash before it. So no text of a client looks like this. */
const REVISION = /(?<!\\)"revision":(\d+)/g;

export class HighestRevision {
  /** 0: none was named. */
  highest = 0;
  #file = '';
  #lines = new LineSplitter();

  /** Takes the next piece of a file, in base64. Pieces of one file come one after the other. */
  add(file: string, content: string): void {
    if (!/^audit[.]log/.test(file)) {
      return;
    }
    if (file !== this.#file) {
      [this.#file, this.#lines] = [file, new LineSplitter()];
    }
    for (const line of this.#lines.push(Buffer.from(content, 'base64'))) {
      for (const [, revision] of line.matchAll(REVISION)) {
        this.highest = Math.max(this.highest, Number(revision));
      }
    }
  }
}
