/** Calls the controller's API over its unix socket. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';

/** An answer of the controller's API. */
export interface ApiResponse {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** The parsed body if it is JSON, else its text. */
  // biome-ignore lint/suspicious/noExplicitAny: callers know which resource they asked for
  body: any;
}

/** The longest time for a call, milliseconds. */
const TIMEOUT_MS = 15_000;

/** Makes one call over the unix socket, with the token from `tokenFile` (null: no token). */
export function callApi(
  socketPath: string,
  tokenFile: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<ApiResponse> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const all: Record<string, string> = { accept: 'application/json', ...headers };
  if (tokenFile !== null) {
    all.authorization ??= `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  }
  if (payload !== undefined) {
    all['content-type'] ??= 'application/json';
  }
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers: all, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== '';
        try {
          const parsed: unknown = isJson ? JSON.parse(text) : text;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
        } catch (error) {
          reject(error);
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer after ${TIMEOUT_MS} ms`)));
    call.on('error', reject);
    call.end(payload);
  });
}
