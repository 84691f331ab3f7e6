/** Server-sent events, as the HTML standard says that they are read. */

/** One message of a stream. */
export interface SseMessage {
  /** `message` where the stream names none. */
  name: string;
  /** Empty where the message only moves `id` on. */
  data: string;
  /** What a stream that goes on after this message is asked for with; empty: none came yet. */
  id: string;
}

/** Puts messages together from text that comes in pieces. */
export class SseParser {
  readonly #take: (message: SseMessage) => void;
  #rest = '';
  #name = '';
  #data: string[] = [];
  #id = '';
  #seen = '';

  constructor(take: (message: SseMessage) => void) {
    this.#take = take;
  }

  /** Takes the next piece. Our controller ends lines with a line feed alone. */
  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        this.#end();
      } else {
        this.#field(line);
      }
    }
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') {
      this.#name = value;
    } else if (field === 'data') {
      this.#data.push(value);
    } else if (field === 'id') {
      this.#id = value;
    }
  }

  #end(): void {
    if (this.#data.length > 0 || this.#id !== this.#seen) {
      this.#take({ name: this.#name || 'message', data: this.#data.join('\n'), id: this.#id });
    }
    this.#seen = this.#id;
    this.#name = '';
    this.#data = [];
  }
}
