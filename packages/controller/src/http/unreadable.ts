/**
 * Requests that reach no route, because they cannot be read as HTTP: they get a problem document
 * like all others.
 */
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { jsonText, problem } from '@mirrorplane/contract';

/** Why a request cannot be read, by the code of the error. */
const WHY: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'the head of the request has more than 16 KB: send fewer or shorter headers, or a shorter URL',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'the extensions of a chunk are too long: send none',
};
/** Also of a request that has arrived while the process of the controller was stopped. Nothing of it was read. */
const TOO_LATE = 'the request did not arrive in time, or the controller stood still: nothing was done, try again';

/** Answers an error of the parser, and ends the connection. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) {
    return;
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    refuse(socket, TOO_LATE, 'UNAVAILABLE');
    return;
  }
  refuse(socket, WHY[error.code ?? ''] ?? 'the request is not valid HTTP/1.1: use an HTTP client');
}

/** Answers what Node.js leaves without an answer, or answers with an empty one. */
export function answerAll(server: Server): void {
  server.on('connect', (_request, socket) => refuse(socket, 'this is not a proxy: use another method than CONNECT'));
  // An expectation other than 100-continue may be ignored (RFC 9110, section 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

function refuse(socket: Duplex, detail: string, code: 'BAD_REQUEST' | 'UNAVAILABLE' = 'BAD_REQUEST'): void {
  const body = jsonText(problem(code, detail));
  const head = [
    ...(code === 'BAD_REQUEST' ? ['HTTP/1.1 400 Bad Request'] : ['HTTP/1.1 503 Service Unavailable', 'Retry-After: 1']),
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  // An answer to an earlier request on this connection may have begun. This text would be in the
  // middle of it.
  const { _httpMessage: answering } = socket as { _httpMessage?: { headersSent: boolean } };
  if (socket.writable && answering?.headersSent !== true) {
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
  socket.destroy();
}
