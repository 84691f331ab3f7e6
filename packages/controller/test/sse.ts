/** A reader of server-sent events, as the standard says that a browser reads them. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';

export interface Message {
  /** `message` where the stream names none. */
  name: string;
  data: string;
  /** The last id at that time. */
  id: string;
}

export class SseReader {
  readonly messages: Message[] = [];
  readonly response: IncomingMessage;
  /** Value of Last-Event-ID for the next connection. */
  lastId = '';
  comments = 0;
  ended = false;
  #text = '';
  #name = '';
  #data: string[] = [];

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#take(text));
    for (const event of ['end', 'close', 'error']) {
      response.on(event, () => {
        this.ended = true;
      });
    }
  }

  static async open(url: string, headers: Record<string, string>): Promise<SseReader> {
    const request = httpRequest(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false });
    request.end();
    const [response] = await once(request, 'response');
    return new SseReader(response);
  }

  close(): void {
    this.response.destroy();
  }

  #take(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop()!;
    for (const line of lines) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line)!;
      if (line === '') {
        this.#dispatch();
      } else if (field === '') {
        this.comments++;
      } else if (field === 'id') {
        this.lastId = value!;
      } else if (field === 'event') {
        this.#name = value!;
      } else if (field === 'data') {
        this.#data.push(value!);
      }
    }
  }

  #dispatch(): void {
    if (this.#data.length > 0) {
      this.messages.push({ name: this.#name || 'message', data: this.#data.join('\n'), id: this.lastId });
    }
    this.#name = '';
    this.#data = [];
  }
}
