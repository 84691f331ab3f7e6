/** Several controllers of one cluster: any of them serves any request, so the next one is asked when one is away. */
import {
  Client,
  type ClientOptions,
  ProblemError,
  type RequestOptions,
  type Response,
  type StreamOptions,
} from './client.ts';
import { CliError } from './exit.ts';
import type { SseMessage } from './sse.ts';

/** Milliseconds that a controller may take to accept a connection, where there are others. */
const CONNECT_MS = 2000;
/** Errors of a connection that was never open: nothing was sent. */
const NOT_CONNECTED = new Set(
  'ECONNREFUSED EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN ENOTFOUND EAI_AGAIN ENOENT CONNECT_TIMEOUT'.split(' '),
);

/** URLs with commas between them. A comma in the path of a socket is none. */
export function urlsOf(text: string): string[] {
  return text
    .split(/,(?=\s*(?:https?:\/\/|unix:))/)
    .map((url) => url.trim())
    .filter((url, index, all) => all.indexOf(url) === index);
}

/** A client of one controller, or of the first one of several that answers. @throws as `Client` */
export function clientOf(options: readonly ClientOptions[]): Client {
  return options.length === 1 ? new Client(options[0]!) : new SeveralClient(options);
}

class SeveralClient extends Client {
  readonly #clients: readonly Client[];
  #at = 0;

  constructor(options: readonly ClientOptions[]) {
    super(options[0]!);
    this.#clients = options.map((one) => new Client({ ...one, connectMs: CONNECT_MS }));
  }

  override get url(): string {
    return this.#current.url;
  }

  override request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Response<T>> {
    return this.#inTurn(method === 'GET', (client) => client.request<T>(method, path, options));
  }

  override async stream(path: string, options: StreamOptions, take: (message: SseMessage) => void): Promise<void> {
    let isBegun = false;
    const begun = (message: SseMessage) => {
      isBegun = true;
      take(message);
    };
    await this.#inTurn(
      () => !isBegun,
      (client) => client.stream(path, options, begun),
    );
  }

  override async download(path: string, options: StreamOptions, take: (piece: Buffer) => Promise<void>): Promise<void> {
    let isBegun = false;
    const begun = (piece: Buffer) => {
      isBegun = true;
      return take(piece);
    };
    await this.#inTurn(
      () => !isBegun,
      (client) => client.download(path, options, begun),
    );
  }

  get #current(): Client {
    return this.#clients[this.#at % this.#clients.length]!;
  }

  /**
   * Asks one controller after the other, and stays with the one that has answered.
   * @param mayRepeat whether a request may be carried out twice. One that was not sent is repeated always
   */
  async #inTurn<T>(mayRepeat: boolean | (() => boolean), ask: (client: Client) => Promise<T>): Promise<T> {
    const why: string[] = [];
    for (;;) {
      try {
        return await ask(this.#current);
      } catch (error) {
        const mayAgain = typeof mayRepeat === 'boolean' ? mayRepeat : mayRepeat();
        if (!(error instanceof CliError) || !isAway(error, mayAgain)) {
          throw error;
        }
        // The next request, or the next try of who follows a stream, begins at another one.
        this.#at++;
        why.push(error.message.split('\n')[0]!);
        if (why.length === this.#clients.length) {
          throw why.length > 1 ? new CliError(error.exit, why.join('\n'), { cause: error }) : error;
        }
      }
    }
  }
}

/** Whether another controller may answer. One that shows another certificate is not away. */
function isAway(error: CliError, mayRepeat: boolean): boolean {
  const { code = '' } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (NOT_CONNECTED.has(code)) {
    return true;
  }
  const isPassing = error instanceof ProblemError ? error.problem.status === 503 : /^(ECONNRESET|EPIPE)$/.test(code);
  return mayRepeat && isPassing;
}
