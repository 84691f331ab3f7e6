/** Reads the items of a JSON list from a stream one by one, with only one item in memory. Pure. */

/** Options for the items. */
export interface ItemsOptions {
  /** Objects around the list: 0 for a list alone, 1 for the list that is a field of an object. */
  level: 0 | 1;
  /** The most items. */
  most: number;
  /** The longest item, bytes. */
  longest: number;
  /** Called with each item. An error that it throws ends the reading. */
  take: (item: unknown) => void;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const ESCAPE = 0x5c;
const OPENING = { list: 0x5b, object: 0x7b };
const CLOSING = { list: 0x5d, object: 0x7d };

/** Finds items by brackets, commas and quotes. Each item is parsed separately. */
export class JsonItems {
  readonly #options: ItemsOptions;
  /** Number of open brackets. */
  #depth = 0;
  #text: 'none' | 'within' | 'escaped' = 'none';
  #list: 'before' | 'within' | 'behind' = 'before';
  #taken = 0;
  /** The beginning of an incomplete item. */
  #parts: Buffer[] = [];
  #size = 0;

  constructor(options: ItemsOptions) {
    this.#options = options;
  }

  /** The list has more items than the limit. The rest need not be read. */
  get isFull(): boolean {
    return this.#taken > this.#options.most;
  }

  /** Reads the next part. @throws Error if an item is too long, SyntaxError if it is no JSON */
  push(part: Buffer): void {
    let from = 0;
    for (let at = 0; at < part.length && this.#list !== 'behind' && !this.isFull; at++) {
      const was = this.#list;
      if (!this.#isEdge(part[at]!)) {
        continue;
      }
      if (was === 'within') {
        this.#finish(part.subarray(from, at));
      }
      from = at + 1;
    }
    if (this.#list === 'within' && !this.isFull) {
      this.#keep(part.subarray(from));
    }
  }

  /** Ends the reading. @throws SyntaxError if the list was incomplete */
  end(): void {
    if (this.#list !== 'behind' && !this.isFull) {
      throw new SyntaxError('there is no whole list');
    }
  }

  /** Whether the byte is a bracket of the list itself, or a comma between its items. */
  #isEdge(byte: number): boolean {
    if (this.#text !== 'none') {
      if (this.#text === 'escaped') {
        this.#text = 'within';
      } else if (byte === ESCAPE) {
        this.#text = 'escaped';
      } else if (byte === QUOTE) {
        this.#text = 'none';
      }
      return false;
    }
    const ofList = this.#list === 'within' && this.#depth === this.#options.level + 1;
    if (byte === QUOTE) {
      this.#text = 'within';
    } else if (byte === COMMA) {
      return ofList;
    } else if (byte === CLOSING.list || byte === CLOSING.object) {
      this.#depth--;
      if (ofList) {
        this.#list = 'behind';
      }
      return ofList;
    } else if (byte === OPENING.list || byte === OPENING.object) {
      const begins = this.#list === 'before' && byte === OPENING.list && this.#depth === this.#options.level;
      this.#depth++;
      if (begins) {
        this.#list = 'within';
      }
      return begins;
    }
    return false;
  }

  #keep(bytes: Buffer): void {
    this.#size += bytes.length;
    if (this.#size > this.#options.longest) {
      throw new Error(`an item is larger than ${this.#options.longest} bytes`);
    }
    this.#parts.push(Buffer.from(bytes));
  }

  #finish(rest: Buffer): void {
    this.#keep(rest);
    const text = Buffer.concat(this.#parts).toString();
    this.#parts = [];
    this.#size = 0;
    if (text.trim() === '') {
      return; // a list without items
    }
    this.#taken++;
    if (!this.isFull) {
      this.#options.take(JSON.parse(text));
    }
  }
}
