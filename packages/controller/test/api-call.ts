/** One request to a controller that may end at any moment, over its Unix socket. */
import { request } from 'node:http';

/** An answer of the API. `body` is what JSON has. */
export interface Reply {
  status: number;
  etag: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads from an answer, it asserts.
  body: any;
}

/** No whole answer came. `sent`: the request may have arrived. */
export class NoAnswerError extends Error {
  readonly sent: boolean;

  constructor(message: string, sent: boolean) {
    super(message);
    this.sent = sent;
  }
}

export interface ApiCall {
  socketPath: string;
  method: string;
  url: string;
  /** Is sent as JSON, and with PATCH as a merge patch. Undefined: none is sent. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Milliseconds after which the client gives up. Left out: it does not. */
  timeoutMs?: number | undefined;
}

/** @throws NoAnswerError if no whole answer came */
export function callApi({ socketPath, method, url, body, headers = {}, timeoutMs }: ApiCall): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const sent = body === undefined ? {} : { 'content-type': type };
    const timeout = timeoutMs === undefined ? {} : { timeout: timeoutMs };
    const call = request({ socketPath, method, path: url, agent: false, headers: { ...sent, ...headers }, ...timeout });
    let connected = false;
    call.on('socket', (socket) => socket.once('connect', () => (connected = true)));
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', (error) => reject(new NoAnswerError(error.message, connected)));
    call.on('response', async (response) => {
      let text = '';
      try {
        for await (const chunk of response) {
          text += chunk;
        }
        const { etag } = response.headers;
        resolve({ status: response.statusCode!, etag, body: text === '' ? undefined : JSON.parse(text) });
      } catch (error) {
        reject(new NoAnswerError((error as Error).message, true));
      }
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
