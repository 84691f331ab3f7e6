/**
 * The connection to one member of etcd: gRPC over HTTP/2, as
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md says it. A message is 5 bytes
 * (flags, length) and the message itself; the status comes in the trailers.
 */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { EtcdError, STATUS } from './errors.ts';
import { CALLS, type Call } from './messages.ts';
import type { EtcdTls } from './tls.ts';
import { CUT, whyUnreachable } from './unreachable.ts';

/** Milliseconds that a connect may take. */
const CONNECT_MS = 2000;
/** Milliseconds between two questions whether the member is there, while an answer is due. */
const PING_MS = 2000;
/**
 * The longest message, bytes. A page of a snapshot has at most 1,000 values, and a watch at most
 * 1,000 revisions that it missed.
 */
const MAX_MESSAGE = 1 << 30;

/** A running call. `end` ends it without a callback. */
export interface Running {
  end(): void;
}

/** What a call gives back. `done` comes once and last; without an error, the member has ended it. */
export interface Receiver {
  message(bytes: Buffer): void;
  done(error?: EtcdError): void;
}

export class Member {
  readonly url: string;
  readonly #tls: EtcdTls;
  #session: ClientHttp2Session | undefined;
  #pings: NodeJS.Timeout | undefined;
  /** Whether the member has spoken HTTP/2 on the last session. */
  #hasSpoken = false;

  /** @param url `http://HOST:PORT` or `https://HOST:PORT` */
  constructor(url: string, tls: EtcdTls) {
    this.url = url;
    this.#tls = tls;
  }

  /**
   * Begins a call with one message.
   * @param hasLeader true: the member ends the call when it does not know the leader any more
   */
  call(
    call: Call,
    request: Buffer,
    receiver: Receiver,
    options: { token?: string; hasLeader?: boolean } = {},
  ): Running {
    let ended = false;
    const done = (error?: EtcdError) => {
      if (!ended) {
        ended = true;
        receiver.done(error);
      }
    };
    let stream: ClientHttp2Stream;
    try {
      stream = this.#open().request({
        ':method': 'POST',
        ':path': CALLS[call],
        'content-type': 'application/grpc',
        te: 'trailers',
        ...(options.token !== undefined && { token: options.token }),
        ...(options.hasLeader && { hasleader: 'true' }),
      });
    } catch (error) {
      queueMicrotask(() => done(this.#unreachable(error as Error)));
      return { end: () => (ended = true) };
    }
    let status: EtcdError | undefined;
    let known = false;
    const take = (headers: Record<string, unknown>) => {
      known ||= headers['grpc-status'] !== undefined;
      status ??= statusOf(headers);
    };
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on(
      'data',
      divider(
        (bytes) => !ended && receiver.message(bytes),
        () => stream.close(constants.NGHTTP2_CANCEL),
      ),
    );
    stream.on('error', (error) => done(this.#unreachable(error)));
    stream.on('close', () => done(status ?? (known ? undefined : this.#unreachable(new Error(CUT)))));
    stream.write(framed(request));
    // A watch stays open in this direction: etcd ends it when its client does.
    if (call !== 'watch') {
      stream.end();
    }
    return {
      end: () => {
        ended = true;
        stream.close(constants.NGHTTP2_CANCEL);
      },
    };
  }

  #unreachable(error: Error): EtcdError {
    const failed = { url: this.url, tls: this.#tls, hasSpoken: this.#hasSpoken };
    return new EtcdError(STATUS.unavailable, whyUnreachable(error, failed));
  }

  close(): void {
    clearInterval(this.#pings);
    this.#session?.destroy();
    this.#session = undefined;
  }

  /** The session in use, or a new one. @throws Error if a file of TLS cannot be read */
  #open(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) {
      return this.#session;
    }
    this.close();
    const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
    const { ca, certificate, key } = this.#tls;
    const session = connect(this.url, { ca: read(ca), cert: read(certificate), key: read(key) });
    this.#session = session;
    this.#hasSpoken = false;
    session.on('remoteSettings', () => {
      this.#hasSpoken = true;
    });
    const slow = setTimeout(() => session.destroy(new Error(`no connection after ${CONNECT_MS} ms`)), CONNECT_MS);
    session.on('connect', () => clearTimeout(slow));
    session.on('close', () => clearTimeout(slow));
    // Its streams get the error too.
    session.on('error', () => undefined);
    session.on('goaway', () => session.close());
    this.#pings = setInterval(() => ping(session), PING_MS).unref();
    return session;
  }
}

/** Sessions whose last ping was not answered yet. */
const unanswered = new WeakSet<ClientHttp2Session>();

/** Asks whether the member is there. Destroys the session if it did not answer the last time. */
function ping(session: ClientHttp2Session): void {
  if (session.connecting || session.destroyed || session.closed) {
    return;
  }
  if (unanswered.has(session)) {
    session.destroy(new Error(`no answer for ${PING_MS} ms`));
    return;
  }
  unanswered.add(session);
  session.ping(() => unanswered.delete(session));
}

/** The error of headers or trailers. Undefined without one. */
function statusOf(headers: Record<string, unknown>): EtcdError | undefined {
  const http = Number(headers[':status'] ?? 200);
  if (http !== 200) {
    return new EtcdError(STATUS.unavailable, `answered with HTTP status ${http}: is this an address of etcd?`);
  }
  const status = Number(headers['grpc-status'] ?? 0);
  return status === 0 ? undefined : new EtcdError(status, decoded(String(headers['grpc-message'] ?? '')));
}

/** A text with percent signs. What is encoded wrongly stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function framed(request: Buffer): Buffer {
  const frame = Buffer.alloc(5 + request.length);
  frame.writeUInt32BE(request.length, 1);
  request.copy(frame, 5);
  return frame;
}

/** Divides what arrives into messages. `tooLong` is called for one that nobody may send. */
function divider(take: (bytes: Buffer) => void, tooLong: () => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let have = 0;
  let need = 5;
  return (chunk) => {
    chunks.push(chunk);
    have += chunk.length;
    while (have >= need) {
      const all = Buffer.concat(chunks, have);
      const length = all.readUInt32BE(1);
      if (length > MAX_MESSAGE) {
        tooLong();
        return;
      }
      need = 5 + length;
      if (have < need) {
        chunks = [all];
        return;
      }
      take(all.subarray(5, need));
      chunks = [all.subarray(need)];
      have -= need;
      need = 5;
    }
  };
}
