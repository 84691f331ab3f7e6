/** HTTP client for daemons with a unix socket. Answers are bounded. */
import { request } from 'node:http';
import { JsonItems } from './json-items.ts';

/** The largest answer, bytes: some ten thousand instances. */
const LIMIT = 64 << 20;
/** The largest item of a list, bytes. */
const LONGEST_ITEM = 1 << 20;
/** The longest time until the answer is complete, milliseconds. */
const TIMEOUT_MS = 10_000;

/** An answer with a status other than 200. */
export class HttpError extends Error {
  readonly status: number;
  constructor(path: string, status: number) {
    super(`the answer to ${path} is ${status}`);
    this.status = status;
  }
}

/** A request, and the bounds of its answer. */
export interface Question {
  /** Path of the socket. */
  socket: string;
  /** Path of the URL, with its query. */
  path: string;
  /** The largest answer, bytes. Default 64 MB. */
  limit?: number;
  /** The longest time, milliseconds. Default 10 s. */
  timeout?: number;
}

/**
 * Gets JSON.
 * @param socket path of the socket
 * @param path with its query
 * @throws HttpError if the answer is an error, Error if there is no answer or it is too large
 */
export async function getJson(
  socket: string,
  path: string,
  bounds: Pick<Question, 'limit' | 'timeout'> = {},
): Promise<unknown> {
  const parts: Buffer[] = [];
  await ask({ socket, path, ...bounds }, (part) => parts.push(part) > 0);
  return JSON.parse(Buffer.concat(parts).toString());
}

/** A list in an answer: see `ItemsOptions`. */
export interface ListQuestion extends Question {
  level: 0 | 1;
  /** The most items. The rest is not read. */
  most: number;
}

/**
 * Reads the items of a list one after the other.
 * @returns whether the list has more items than the limit
 * @throws HttpError if the answer is an error; Error if there is none, it is no list, or an item is
 * too large
 */
export async function getItems(question: ListQuestion, take: (item: unknown) => void): Promise<boolean> {
  const { level, most } = question;
  const items = new JsonItems({ level, most, longest: LONGEST_ITEM, take });
  await ask(question, (part) => {
    items.push(part);
    return !items.isFull;
  });
  items.end();
  return items.isFull;
}

/**
 * @param hear gets the body of a good answer in parts, and returns false to stop; its errors are
 * thrown
 */
async function ask(
  { socket, path, limit = LIMIT, timeout = TIMEOUT_MS }: Question,
  hear: (part: Buffer) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(timeout);
  await new Promise<void>((resolve, reject) => {
    // A host name is required by HTTP/1.1 and means nothing here.
    const asked = request({ socketPath: socket, path, signal, agent: false, headers: { host: 'local' } }, (answer) => {
      const { statusCode = 0 } = answer;
      let size = 0;
      const goesOn = (part: Buffer): boolean => {
        size += part.length;
        if (size > limit) {
          throw new Error(`the answer to ${path} is larger than ${limit} bytes`);
        }
        return statusCode !== 200 || hear(part);
      };
      answer.on('data', (part: Buffer) => {
        try {
          if (goesOn(part)) {
            return;
          }
          resolve();
        } catch (error) {
          reject(error);
        }
        asked.destroy();
      });
      answer.on('error', reject);
      answer.on('end', () => (statusCode === 200 ? resolve() : reject(new HttpError(path, statusCode))));
    });
    asked.on('error', (error) => reject(signal.aborted ? new Error(`no answer to ${path} in ${timeout} ms`) : error));
    // A change of protocol (101) ends without an answer and without an error.
    asked.on('close', () => reject(new Error(`the connection for ${path} has ended without an answer`)));
    asked.end();
  });
}
