/** HTTP/1.1 as bytes: sends what no HTTP library would send, and reads the answer. */
import { connect } from 'node:net';

/** The answer to one request. */
export interface WireAnswer {
  status: number;
  /** Names in lower case. */
  headers: ReadonlyMap<string, string>;
  body: Buffer;
  /** Whether all of the body came. */
  complete: boolean;
  /** Milliseconds until the end of the answer. */
  ms: number;
}

/** Milliseconds within which an answer has to come, on a busy machine. */
const LIMIT_MS = 20_000;
/** Bytes that are read of one answer at most. */
const MAX_BYTES = 64 << 20;

/** Media types of answers that may have no end. Their heads are the answer. */
const ENDLESS = /^(text\/event-stream|application\/x-pcapng)/;

interface Head {
  status: number;
  headers: Map<string, string>;
  /** Where the body begins. */
  at: number;
}

/**
 * Sends bytes on a connection of their own. The answer ends with its body, or with the head of a
 * stream of events, which has no end.
 * @param isHead whether the answer has no body
 * @returns undefined: the connection was closed without an answer
 * @throws Error if nothing happens within the limit
 */
export function exchange(
  port: number,
  bytes: Buffer,
  isHead = false,
  limitMs = LIMIT_MS,
): Promise<WireAnswer | undefined> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let parts: Buffer[] = [];
    let length = 0;
    const finish = (ended: boolean) => {
      const text = Buffer.concat(parts);
      parts = [text];
      const head = headOf(text);
      const body = head && bodyOf(text.subarray(head.at), head, isHead);
      if (head && body && (ended || body.complete)) {
        clearTimeout(timer);
        socket.destroy();
        resolve({ status: head.status, headers: head.headers, ...body, ms: performance.now() - began });
      } else if (ended) {
        clearTimeout(timer);
        resolve(undefined);
      }
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer within ${limitMs} ms`));
    }, limitMs);
    socket.on('data', (data) => {
      length += data.length;
      parts.push(data);
      if (length > MAX_BYTES) {
        socket.destroy();
      }
      finish(false);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => finish(true));
    socket.write(bytes);
  });
}

function headOf(text: Buffer): Head | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) {
    return undefined;
  }
  const [first = '', ...lines] = text.subarray(0, end).toString('latin1').split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const status = Number(first.split(' ')[1]);
  // 100 (Continue) comes before the answer.
  const rest = status === 100 ? headOf(text.subarray(end + 4)) : undefined;
  return status === 100 ? rest && { ...rest, at: rest.at + end + 4 } : { status, headers, at: end + 4 };
}

function bodyOf(rest: Buffer, { status, headers }: Head, isHead: boolean): { body: Buffer; complete: boolean } {
  const none = isHead || status === 204 || status === 304;
  if (none || ENDLESS.test(headers.get('content-type') ?? '')) {
    return { body: Buffer.alloc(0), complete: true };
  }
  const length = headers.get('content-length');
  if (length !== undefined) {
    return { body: rest.subarray(0, Number(length)), complete: rest.length >= Number(length) };
  }
  return headers.get('transfer-encoding') === 'chunked' ? unchunked(rest) : { body: rest, complete: false };
}

function unchunked(rest: Buffer): { body: Buffer; complete: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf('\r\n', at);
    const size = line < 0 ? Number.NaN : Number.parseInt(rest.subarray(at, line).toString('latin1'), 16);
    if (size === 0 || Number.isNaN(size) || rest.length < line + 2 + size) {
      return { body: Buffer.concat(parts), complete: size === 0 };
    }
    parts.push(rest.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
