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
/** Milliseconds without an answer after which another one is asked too. */
const SILENT_MS = 3000;
/** Milliseconds until a stream has begun. */
const BEGIN_MS = 5000;
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
    this.#clients = options.map((one) => new Client({ beginMs: BEGIN_MS, ...one, connectMs: CONNECT_MS }));
  }

  override get url(): string {
    return this.#current.url;
  }

  override request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Response<T>> {
    return method === 'GET'
      ? this.#firstAnswer((client, signal) => client.request<T>(method, path, { ...options, signal }))
      : this.#inTurn(false, (client) => client.request<T>(method, path, options));
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
    return this.#clientAt(this.#at);
  }

  #clientAt(at: number): Client {
    return this.#clients[at % this.#clients.length]!;
  }

  /**
   * Asks the next controller as well when one is away or silent, and stays with the one whose answer
   * comes first. The others are not waited for.
   * @param ask may be called for all of them
   */
  #firstAnswer<T>(ask: (client: Client, signal: AbortSignal) => Promise<T>): Promise<T> {
    const first = this.#at;
    const why: string[] = [];
    const over = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<T>((resolve, reject) => {
      let asked = 0;
      const askNext = () => {
        clearTimeout(timer);
        if (asked === this.#clients.length) {
          return;
        }
        const at = first + asked++;
        timer = setTimeout(askNext, SILENT_MS);
        ask(this.#clientAt(at), over.signal).then(
          (found) => {
            this.#at = at;
            resolve(found);
          },
          (error: unknown) => {
            if (over.signal.aborted) {
              return;
            }
            if (!(error instanceof CliError) || !isAway(error, true)) {
              reject(error);
              return;
            }
            why.push(firstLine(error));
            if (why.length === this.#clients.length) {
              reject(allAway(error, why));
            } else {
              askNext();
            }
          },
        );
      };
      askNext();
    });
    return answer.finally(() => {
      clearTimeout(timer);
      over.abort();
    });
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
          throw isUnknown(error) && !mayAgain ? this.#notRepeated(error) : error;
        }
        // The next request, or the next try of who follows a stream, begins at another one.
        this.#at++;
        why.push(firstLine(error));
        if (why.length === this.#clients.length) {
          throw allAway(error, why);
        }
      }
    }
  }

  /** The error of a change that may have been made: another controller would make it again. */
  #notRepeated(error: CliError): CliError {
    const others = this.#clients.filter((client) => client !== this.#current).map(({ url }) => url);
    // The next request begins at another one.
    this.#at++;
    const what = `the change may have been made, so it was not sent to ${others.join(' or ')}: look, and try again`;
    return new CliError(error.exit, `${firstLine(error)}\n${what}`, { cause: error.cause });
  }
}

const firstLine = ({ message }: CliError): string => message.split('\n')[0]!;

function allAway(last: CliError, why: readonly string[]): CliError {
  return why.length > 1 ? new CliError(last.exit, why.join('\n'), { cause: last }) : last;
}

/** Whether a request was sent, and what became of it is not known. */
function isUnknown(error: unknown): error is CliError {
  return error instanceof CliError && !(error instanceof ProblemError) && (isSilent(error) || isCut(error));
}

const isSilent = ({ cause }: CliError) => /^(Timeout|Abort)Error$/.test((cause as Error | undefined)?.name ?? '');

const isCut = ({ cause }: CliError) => /^(ECONNRESET|EPIPE|SILENT)$/.test((cause as NodeJS.ErrnoException)?.code ?? '');

/** Whether another controller may answer. One that shows another certificate is not away. */
function isAway(error: CliError, mayRepeat: boolean): boolean {
  const { code = '' } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (NOT_CONNECTED.has(code)) {
    return true;
  }
  return mayRepeat && (error instanceof ProblemError ? error.problem.status === 503 : isUnknown(error));
}
