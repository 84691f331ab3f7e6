/** HTTP with the controller: JSON in and out, over TCP or a unix socket. */
import { once } from 'node:events';
import type * as http from 'node:http';
import type { ErrorCode, Problem } from '@mirrorplane/contract';
import { CliError, type Exit, exitOfStatus } from './exit.ts';
import { readPrivateFile } from './private-file.ts';
import { type SseMessage, SseParser } from './sse.ts';
import type { ConnectionOptions, Trust } from './trust.ts';

/** Where an API token comes from. A file is read when the first request is sent. */
export type TokenSource =
  | { kind: 'none' }
  | { kind: 'text' | 'login'; token: string }
  | { kind: 'file'; path: string; optional: boolean };

export interface ClientOptions {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`. */
  url: string;
  token: TokenSource;
  /** How a controller with TLS is known. Default: by the authorities of this host. */
  trust?: Trust | undefined;
  /** Milliseconds that a request may take. Default 30000. */
  timeout?: number;
  /** Milliseconds that the other end may take to accept the connection. Default: those of the request. */
  connectMs?: number;
  /** Milliseconds until a stream has begun. Default: 45000. */
  beginMs?: number;
}

/** What a request may carry besides its path. */
export interface RequestOptions {
  query?: Record<string, string | undefined>;
  body?: unknown;
  /** The request is carried out only while the resource has this ETag. */
  ifMatch?: string | undefined;
  /** The request is carried out only if the resource does not exist. */
  ifNoneMatch?: boolean;
  /** Content type of the body. Default `application/json`. */
  contentType?: string;
  /** The controller only checks and answers, and changes nothing. */
  dryRun?: boolean | undefined;
  /** Ends the request. */
  signal?: AbortSignal;
}

/** Options of a stream of server-sent events. */
export interface StreamOptions {
  query?: Record<string, string | undefined>;
  /** The stream continues after the event with this id. */
  lastEventId?: string | undefined;
  /** Ends the stream. */
  signal: AbortSignal;
}

/**
 * Milliseconds without a byte after which a stream is given up: three keep-alive intervals of the
 * controller.
 */
const SILENCE_MS = 45_000;
/** Milliseconds of silence before TCP asks whether the other end is still there. */
const KEEP_ALIVE_MS = 10_000;

export interface Response<T> {
  status: number;
  etag: string | undefined;
  body: T;
}

/** A complete list of resources. */
export interface List<T> {
  items: T[];
  /** Store revision of the list. For several pages, that of the last page. */
  revision: number;
}

/** The controller answered with a problem document. */
export class ProblemError extends CliError {
  readonly problem: Problem;
  constructor(problem: Problem, exit: Exit = exitOfStatus(problem.status)) {
    super(exit, problem.detail);
    this.name = 'ProblemError';
    this.problem = problem;
  }
}

/** A client of one controller. */
export class Client {
  readonly #options: ClientOptions;
  readonly #target: { socketPath: string } | { base: URL };
  #token: { token?: string; missing?: string } | undefined;
  #connection: Promise<ConnectionOptions | undefined> | undefined;

  /** @throws CliError (usage) where the URL is not one. */
  constructor(options: ClientOptions) {
    this.#options = options;
    this.#target = parseTarget(options.url);
  }

  /** URL of the controller. */
  get url(): string {
    return this.#options.url;
  }

  /** Sends one request. @throws ProblemError, or CliError where the controller cannot be reached or understood. */
  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Response<T>> {
    this.#token ??= readToken(this.#options.token);
    const answer = await this.#send(method, path, options, this.#token.token);
    const body = parseBody(answer.text);
    if (answer.status >= 200 && answer.status < 300) {
      if (answer.text !== '' && body === undefined) {
        throw new CliError(
          'unexpected',
          `${this.#options.url} answered ${method} ${path} with something other than JSON`,
        );
      }
      return { status: answer.status, etag: answer.etag, body: body as T };
    }
    return this.#refuse(answer.status, answer.text, `${method} ${path}`);
  }

  /**
   * Reads a complete list, over all pages.
   * @throws ProblemError, or CliError where the controller cannot be reached or understood
   */
  async list<T>(path: string, query: RequestOptions['query'] = {}): Promise<List<T>> {
    const { body } = await this.request<List<T> & { continue?: string }>('GET', path, { query });
    const { continue: next, ...list } = body;
    if (next === undefined) {
      return list;
    }
    const rest = await this.list<T>(path, { ...query, continue: next });
    return { ...rest, items: [...list.items, ...rest.items] };
  }

  /**
   * Reads server-sent events, and gives each to `take`, until the stream ends or falls silent.
   * @throws ProblemError, or CliError (unavailable) when the stream ends; nothing is thrown after
   * `signal`
   */
  async stream(path: string, options: StreamOptions, take: (message: SseMessage) => void): Promise<void> {
    await this.#read(path, { ...options, accept: 'text/event-stream', silenceMs: SILENCE_MS }, async (response) => {
      response.setEncoding('utf8');
      const parser = new SseParser(take);
      for await (const text of response) {
        parser.add(text);
      }
      throw new Error('it has ended the stream');
    });
  }

  /**
   * Reads an answer that is no text, and gives each piece to `take`, which is waited for.
   * @throws ProblemError, or CliError (unavailable) when the connection ends too early; nothing is
   * thrown after `signal`
   */
  async download(path: string, options: StreamOptions, take: (piece: Buffer) => Promise<void>): Promise<void> {
    await this.#read(path, { ...options, accept: 'application/octet-stream' }, async (response) => {
      // Packets may be rare. A controller that is gone answers no probe.
      response.socket.setKeepAlive(true, KEEP_ALIVE_MS);
      for await (const piece of response) {
        await take(piece as Buffer);
      }
    });
  }

  async #read(
    path: string,
    { query, lastEventId, signal, accept, silenceMs }: StreamOptions & { accept: string; silenceMs?: number },
    read: (response: http.IncomingMessage) => Promise<void>,
  ): Promise<void> {
    this.#token ??= readToken(this.#options.token);
    const headers: http.OutgoingHttpHeaders = { accept: `${accept}, application/problem+json` };
    if (this.#token.token !== undefined) {
      headers.authorization = `Bearer ${this.#token.token}`;
    }
    if (lastEventId !== undefined) {
      headers['last-event-id'] = lastEventId;
    }
    const request = this.#request('GET', path, query, { headers, signal, ...(await this.#connectionOptions()) });
    if (silenceMs !== undefined) {
      request.setTimeout(silenceMs, () => request.destroy(new Error('it has stopped sending')));
      begunIn(this.#options.beginMs, request);
    }
    request.end();
    try {
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const status = response.statusCode ?? 0;
      if (status !== 200) {
        let text = '';
        for await (const part of response.setEncoding('utf8')) {
          text += part;
        }
        this.#refuse(status, text, `GET ${path}`);
      }
      await read(response);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      throw await this.#failure(error as Error);
    }
  }

  #refuse(status: number, text: string, request: string): never {
    if (status === 401 && this.#token?.missing !== undefined) {
      throw new CliError('denied', `no API token: ${this.#token.missing}; ${TOKEN_HELP}`);
    }
    if (status === 401 && this.#options.token.kind === 'login') {
      const { url } = this.#options;
      throw new CliError('denied', `your login at ${url} is over: run "mirrorplane login ${url}"`);
    }
    throw new ProblemError(asProblem(status, parseBody(text), request, this.#options.url));
  }

  /** What goes into each request by TLS. Undefined without TLS. */
  #connectionOptions(): Promise<ConnectionOptions | undefined> {
    const target = this.#target;
    this.#connection ??=
      'base' in target && target.base.protocol === 'https:'
        ? import('./trust.ts').then(({ connectionOptions }) =>
            connectionOptions(target.base, this.#options.trust ?? {}),
          )
        : Promise.resolve(undefined);
    return this.#connection;
  }

  /** The error of a connection, with what to do. */
  async #failure(cause: Error): Promise<CliError> {
    if (cause instanceof CliError) {
      return cause;
    }
    const { url, trust = {} } = this.#options;
    if ('base' in this.#target && this.#target.base.protocol === 'https:') {
      const { tlsFailure } = await import('./trust.ts');
      return (await tlsFailure(this.#target.base, trust, cause)) ?? unreachable(url, cause);
    }
    return unreachable(url, cause);
  }

  async #send(method: string, path: string, options: RequestOptions, token: string | undefined) {
    const query = { ...options.query, ...(options.dryRun && { dryRun: 'true' }) };
    const payload = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const headers: http.OutgoingHttpHeaders = { accept: 'application/json, application/problem+json' };
    if (token !== undefined) {
      headers.authorization = `Bearer ${token}`;
    }
    if (options.ifMatch !== undefined) {
      headers['if-match'] = options.ifMatch;
    }
    if (options.ifNoneMatch) {
      headers['if-none-match'] = '*';
    }
    if (payload) {
      headers['content-type'] = options.contentType ?? 'application/json';
      headers['content-length'] = payload.length;
    }
    const timeout = AbortSignal.timeout(this.#options.timeout ?? 30_000);
    const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
    try {
      const connection = await this.#connectionOptions();
      return await answerOf(this.#request(method, path, query, { headers, signal, ...connection }), payload);
    } catch (error) {
      throw await this.#failure(error as Error);
    }
  }
  #request(
    method: string,
    path: string,
    query: Record<string, string | undefined> | undefined,
    options: { headers: http.OutgoingHttpHeaders; signal: AbortSignal } & Partial<ConnectionOptions>,
  ): http.ClientRequest {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) {
        search.set(name, value);
      }
    }
    const where = `/api/v1${path}${search.size > 0 ? `?${search}` : ''}`;
    // One connection for each request. A command sends few requests, and the controller might close
    // an idle connection just as the next request starts.
    const common = { method, agent: false as const, ...options };
    const target = this.#target;
    if ('socketPath' in target) {
      return httpModule('node:http').request({ ...common, socketPath: target.socketPath, path: where });
    }
    const { protocol, pathname } = target.base;
    const url = new URL(`${pathname.replace(/\/$/, '')}${where}`, target.base);
    return connectedIn(
      this.#options.connectMs,
      httpModule(protocol === 'https:' ? 'node:https' : 'node:http').request(url, common),
    );
  }
}

/** Ends a request whose connection is not accepted in time. */
function connectedIn(ms: number | undefined, request: http.ClientRequest): http.ClientRequest {
  if (ms === undefined) {
    return request;
  }
  return request.once('socket', (socket) => {
    const error = Object.assign(new Error('the host does not answer'), { code: 'CONNECT_TIMEOUT' });
    const timer = setTimeout(() => request.destroy(error), ms);
    for (const event of ['connect', 'close'] as const) {
      socket.once(event, () => clearTimeout(timer));
    }
  });
}

/** Ends a request that is not answered in time, whatever comes after the first byte. */
function begunIn(ms: number | undefined, request: http.ClientRequest): void {
  if (ms !== undefined) {
    const error = Object.assign(new Error('no answer in time'), { code: 'SILENT' });
    const timer = setTimeout(() => request.destroy(error), ms);
    for (const event of ['response', 'close'] as const) {
      request.once(event, () => clearTimeout(timer));
    }
  }
}

/** Sends a request with this body, and reads the whole answer. @throws Error of the connection */
function answerOf(request: http.ClientRequest, payload: Buffer | undefined) {
  return new Promise<{ status: number; etag: string | undefined; text: string }>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, etag: response.headers.etag, text });
      });
    });
    request.end(payload);
  });
}

/** Reads a resource. Undefined where it does not exist. */
export async function getIfThere<T>(client: Client, path: string): Promise<Response<T> | undefined> {
  try {
    return await client.request<T>('GET', path);
  } catch (error) {
    if (error instanceof ProblemError && error.exit === 'notFound') {
      return undefined;
    }
    throw error;
  }
}

/**
 * Loads the HTTP module late, and not by `import`. An import reads every export of the module, and
 * the exports for WebSockets load an HTTP client that is not used here. This takes longer than all
 * the rest of a command.
 */
function httpModule(name: 'node:http' | 'node:https'): Pick<typeof http, 'request'> {
  return process.getBuiltinModule(name);
}

const TOKEN_HELP =
  'run "mirrorplane login", name the file with --token-file or MIRRORPLANE_TOKEN_FILE, or set MIRRORPLANE_TOKEN';

function parseTarget(url: string): { socketPath: string } | { base: URL } {
  if (url.startsWith('unix:')) {
    const socketPath = url.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (socketPath === '') {
      throw new CliError('usage', 'the URL "unix:" needs the path of a socket, as in unix:/run/api.sock');
    }
    return { socketPath };
  }
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (!base || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
    throw new CliError(
      'usage',
      `"${url}" is not a URL of a controller: use http://HOST:PORT, https://HOST:PORT or unix:/PATH`,
    );
  }
  return { base };
}

/** True if an HTTP header can carry the text. */
function canBeToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

function readToken(source: TokenSource): { token?: string; missing?: string } {
  if (source.kind === 'none') {
    return { missing: 'there is none for this controller' };
  }
  if (source.kind !== 'file') {
    if (!canBeToken(source.token)) {
      throw new CliError('denied', 'MIRRORPLANE_TOKEN does not hold a token');
    }
    return { token: source.token };
  }
  try {
    const token = readPrivateFile(source.path).trim();
    if (canBeToken(token)) {
      return { token };
    }
    throw new CliError(
      'denied',
      `the token file ${source.path} ${token === '' ? 'is empty' : 'does not hold a token'}`,
    );
  } catch (error) {
    if (error instanceof CliError) {
      throw error;
    }
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read by you' : `cannot be read (${code})`;
    const missing = `the token file ${source.path} ${why}`;
    // The default token file may be absent. The controller decides whether a token is needed.
    if (source.optional) {
      return { missing };
    }
    throw new CliError('denied', `${missing}; ${TOKEN_HELP}`, { cause: error });
  }
}

function parseBody(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asProblem(status: number, body: unknown, request: string, url: string): Problem {
  const given = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  if (typeof given.code === 'string' && typeof given.detail === 'string') {
    return { ...(given as Problem), status, errors: given.errors ?? [] };
  }
  const code = status === 401 ? 'UNAUTHENTICATED' : status === 404 ? 'NOT_FOUND' : (`HTTP_${status}` as ErrorCode);
  const detail = `${url} answered ${request} with HTTP ${status} and no problem document; is it a Mirrorplane controller?`;
  return { type: 'about:blank', title: `HTTP ${status}`, status, code, detail, errors: [] };
}

function unreachable(url: string, cause: Error): CliError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why =
    cause.name === 'AbortError' || cause.name === 'TimeoutError'
      ? 'no answer in time'
      : code === 'ECONNREFUSED'
        ? 'nothing listens there'
        : code === 'ENOENT'
          ? 'the socket does not exist'
          : code === 'EACCES'
            ? 'you are not allowed to open it'
            : cause.message || (code ?? 'no connection');
  return new CliError(
    'unavailable',
    `the controller at ${url} cannot be reached: ${why}\n` +
      'start a controller with "mirrorplane up" (this host) or "mirrorplane controller", or name another one with --url or MIRRORPLANE_URL',
    { cause },
  );
}
