/** The highest revision that an audit log names. */
import { LineSplitter } from '@mirrorplane/contract/audit-lines';

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
      this.highest = Math.max(this.highest, revisionOf(line));
    }
  }
}

/** The revision of a line. 0: it names none, or cannot be read. */
function revisionOf(line: string): number {
  let entry: { revision?: unknown } | null;
  try {
    entry = JSON.parse(line);
  } catch {
    return 0;
  }
  const revision = entry?.revision;
  return typeof revision === 'number' && Number.isSafeInteger(revision) ? revision : 0;
}
