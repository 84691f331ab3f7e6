/** Sends large messages to agents without a large buffer that stays. */
import type { Writable } from 'node:stream';

/**
 * Bytes of a piece. Node.js makes room for all that a TLS socket is given in one call, and keeps that
 * room until the connection ends. Below 16 KiB, it is room for one record of TLS.
 */
export const PIECE_BYTES = 16_000;

type Done = (error?: Error | null) => void;

/**
 * Lets a socket write one piece of at most `PIECE_BYTES` after the other, in the same order. A program
 * of 1 MB would make 1 MB stay allocated for each connection otherwise.
 * @param socket nobody has written to it yet
 */
export function writeInPieces(socket: Writable): void {
  const write = socket.write.bind(socket) as (chunk: Buffer | string, ...rest: unknown[]) => boolean;
  const inPieces = (chunk: Buffer | string, encoding?: BufferEncoding | Done, done?: Done): boolean => {
    const last = typeof encoding === 'function' ? encoding : done;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding as BufferEncoding) : chunk;
    let at = 0;
    for (; bytes.length - at > PIECE_BYTES; at += PIECE_BYTES) {
      write(bytes.subarray(at, at + PIECE_BYTES));
    }
    return write(at === 0 ? bytes : bytes.subarray(at), last);
  };
  // Without it, what waits is not joined again.
  Object.assign(socket, { write: inPieces, _writev: undefined });
}
