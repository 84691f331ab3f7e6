/** The requests of agents: POST /enroll. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { problem } from '@mirrorplane/contract';
import type { Services } from '../services.ts';
import { addressOf } from './address.ts';
import { enroll, enrollProblem } from './enroll.ts';

/** Largest request to enrol, in bytes: a certificate request is less than 1 KB. */
const MAX_ENROLL = 8 * 1024;

export class AgentRequests {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  /** Answers a request. Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = addressOf(request.socket, this.#services);
    let answer: { status: number; type: string; body: unknown };
    try {
      const handle = request.method === 'POST' ? this.#handler(request, address) : undefined;
      if (handle) {
        answer = { status: 200, type: 'application/json', body: await handle(await readJson(request)) };
      } else {
        answer = asProblem(problem('NOT_FOUND', 'this port has POST /enroll and the WebSocket /sync'));
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

  /** What a request asks for; undefined: nothing that there is. */
  #handler(request: IncomingMessage, address: string): ((body: unknown) => Promise<unknown>) | undefined {
    return request.url === '/enroll' ? (body) => enroll(body, address, this.#services) : undefined;
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
