/** Requests that are refused before they are read: because of who sends them. */
import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { addressOf, askedBy, failureOf } from './mutation.ts';

/** Characters of a path that the audit log has. */
const MAX_PATH = 128;

/**
 * Notes a refused request in the audit log. Those without a valid token or session are summed by
 * the minute.
 */
export function noteRefused(request: FastifyRequest, services: Services, error: unknown): void {
  if (!(error instanceof ProblemError)) {
    return;
  }
  const resource = `${request.method} ${request.url.split('?')[0]!.slice(0, MAX_PATH)}`;
  if (request.who) {
    const entry = { ...askedBy(request.who, request), action: 'request', resource, ...failureOf(error) } as const;
    services.refused.add(entry).catch((reason: unknown) => {
      services.log.error({ err: reason }, 'refusal not written to the audit log');
    });
    return;
  }
  const { code } = error.problem;
  services.refusedSignIns.add({ request: 'apiRequest', reason: code, message: resource, address: addressOf(request) });
}
