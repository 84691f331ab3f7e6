/** What a follower answers itself while it knows no leader that it can reach. */
import { createServer, type Server } from 'node:http';
import { jsonText, problem } from '@mirrorplane/contract';

/** Seconds after which it is worth trying again. */
const RETRY_AFTER_S = 1;
/** Milliseconds in which a request must arrive. */
const REQUEST_MS = 5000;

/** The server of connections that cannot be handed on. It does not listen itself. */
export function awayServer(): Server {
  const server = createServer({ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }, (request, response) => {
    const [path] = (request.url ?? '').split('?');
    response.setHeader('connection', 'close');
    if (path === '/healthz') {
      response.setHeader('content-type', 'application/json').end(jsonText({ status: 'ok' }));
      return;
    }
    const detail =
      'no controller leads at this moment, or this one does not reach the one that does: try again. Its log says more';
    const body = { ...problem('UNAVAILABLE', detail), instance: path };
    response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': String(RETRY_AFTER_S) });
    response.end(jsonText(body));
  });
  // A server that does not listen looks after no time limits of requests, unless it believes that it does.
  server.emit('listening');
  return server;
}
