/**
 * Answers come from the controller that leads. One that was cut off from etcd may have lost its
 * place: what it knows may be older than what another controller has acknowledged.
 */
import type { FastifyInstance } from 'fastify';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';

/** Milliseconds that etcd has to confirm the lead. An election of etcd may be under way. */
const CONFIRM_MS = 3000;

/** Requests whose answers say what the leader knows. */
const OF_LEADER = /^\/(api\/|metrics\b|readyz\b)/;

/** Holds requests until the lead is confirmed. Where no other controller runs, nobody else leads. */
export function answerWhileLeading(app: FastifyInstance, { leadership }: Pick<Services, 'leadership'>): void {
  if (leadership === undefined) {
    return;
  }
  app.addHook('onRequest', async ({ url }) => {
    if (!OF_LEADER.test(url) || leadership.isSure || leadership.isAlone) {
      return;
    }
    if (!(await leadership.hold.confirm(CONFIRM_MS))) {
      const message = 'etcd does not confirm that this controller leads, and another one may: try again in a moment';
      throw new ProblemError('UNAVAILABLE', message);
    }
  });
}
