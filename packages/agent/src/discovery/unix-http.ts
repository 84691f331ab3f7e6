/** Asks a daemon that speaks HTTP on a unix socket, and takes no more of its answer than fits. */
import { request } from 'node:http';

/** Bytes of an answer: some ten thousand instances. */
const LIMIT = 64 << 20;
/** Milliseconds until the answer is there as a whole. */
const TIMEOUT = 10_000;

/** An answer other than 200. */
export class HttpError extends Error {
  readonly status: number;
  constructor(path: string, status: number) {
    super(`the answer to ${path} is ${status}`);
    this.status = status;
  }
}

/**
 * Gets JSON.
 * @param socket path of the socket
 * @param path with its query
 * @throws HttpError where the answer is an error, Error where there is none or it is too large
 */
export async function getJson(
  socket: string,
  path: string,
  { limit = LIMIT, timeout = TIMEOUT }: { limit?: number; timeout?: number } = {},
): Promise<unknown> {
  const signal = AbortSignal.timeout(timeout);
  const body = await new Promise<string>((resolve, reject) => {
    // A host name is required by HTTP/1.1 and means nothing here.
    const asked = request({ socketPath: socket, path, signal, agent: false, headers: { host: 'local' } }, (answer) => {
      const parts: Buffer[] = [];
      let size = 0;
      answer.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size <= limit) return;
        reject(new Error(`the answer to ${path} is larger than ${limit} bytes`));
        asked.destroy();
      });
      answer.on('error', reject);
      answer.on('end', () => {
        const { statusCode = 0 } = answer;
        if (statusCode === 200) resolve(Buffer.concat(parts).toString());
        else reject(new HttpError(path, statusCode));
      });
    });
    asked.on('error', (error) => reject(signal.aborted ? new Error(`no answer to ${path} in ${timeout} ms`) : error));
    // Another protocol instead of an answer (101) ends without one, and without an error.
    asked.on('close', () => reject(new Error(`the connection for ${path} has ended without an answer`)));
    asked.end();
  });
  return JSON.parse(body);
}
