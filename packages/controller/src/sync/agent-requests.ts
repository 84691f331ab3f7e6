/**
 * The requests of agents: POST /enroll, and POST /renew with the certificate that is to be renewed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { problem } from '@mirrorplane/contract';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { TokenBucket } from '../token-bucket.ts';
import { enroll, enrollProblem, renew } from './enroll.ts';
import { registeredNode } from './identity.ts';

/** Largest request to enrol, in bytes: a certificate request is less than 1 KB. */
const MAX_ENROLL = 8 * 1024;
/** Renewals of the certificate of one node: some at once, then one an hour. */
const RENEWALS = { reserve: 5, perSecond: 1 / 3600 };

export class AgentRequests {
  readonly #services: Services;
  readonly #renewals = new Map<string, TokenBucket>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** Answers a request. Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? 'unknown';
    let answer: { status: number; type: string; body: unknown };
    try {
      const handle = request.method === 'POST' ? this.#handler(request, address) : undefined;
      if (handle) {
        answer = { status: 200, type: 'application/json', body: await handle(await readJson(request)) };
      } else {
        answer = asProblem(problem('NOT_FOUND', 'this port has POST /enroll, POST /renew and the WebSocket /sync'));
      }
    } catch (error) {
      answer = asProblem(error instanceof BodyError ? problem('BAD_REQUEST', error.message) : enrollProblem(error));
      if (answer.status >= 500) {
        this.#services.log.error({ err: error }, 'request of an agent failed');
      }
    }
    response.writeHead(answer.status, { 'content-type': answer.type, connection: 'close' });
    response.end(JSON.stringify(answer.body));
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#renewals.delete(node);
  }

  /** What a request asks for; undefined: nothing that there is. */
  #handler(request: IncomingMessage, address: string): ((body: unknown) => Promise<unknown>) | undefined {
    if (request.url === '/enroll') {
      return (body) => enroll(body, address, this.#services);
    }
    return request.url === '/renew' ? (body) => this.#renew(body, request.socket as TLSSocket, address) : undefined;
  }

  async #renew(body: unknown, socket: TLSSocket, address: string): Promise<unknown> {
    const identity = registeredNode(socket, this.#services.view);
    if ('status' in identity) {
      const { reason, message } = identity;
      this.#services.refusals.add({ request: 'renew', reason, message, address });
      throw new ProblemError('UNAUTHENTICATED', message);
    }
    const { node } = identity;
    const share = this.#renewals.get(node) ?? new TokenBucket(RENEWALS);
    this.#renewals.set(node, share);
    if (!share.take()) {
      const message = `node "${node}" renews too often: a certificate is valid for a year`;
      this.#services.refusals.add({ request: 'renew', reason: 'tooOften', message, address, node });
      throw new ProblemError('UNAVAILABLE', message);
    }
    return renew(body, { node, address }, this.#services);
  }
}

class BodyError extends Error {}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_ENROLL) {
      throw new BodyError(`the body is larger than ${MAX_ENROLL} bytes`);
    }
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new BodyError('the body is not JSON');
  }
}

function asProblem(document: ReturnType<typeof problem>) {
  return { status: document.status, type: 'application/problem+json', body: document };
}
