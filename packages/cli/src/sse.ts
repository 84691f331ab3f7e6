/** Parser of server-sent events, as in the HTML standard. */

/** One message of a stream. */
export interface SseMessage {
  /** Name of the event. `message` where the stream gives no name. */
  name: string;
  /** Empty where the message only changes `id`. */
  data: string;
  /** The id to continue the stream after this message. Empty: none has come yet. */
  id: string;
}

/** Assembles messages from pieces of text. */
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

  /** Adds the next piece. The controller ends lines with a line feed only. */
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
