/** Finds the sender of each request before anything else does, and puts it into `request.sender`. */
import type { FastifyInstance } from 'fastify';
import type { Peer, Sender, TrustedProxies } from '../auth/proxies.ts';

declare module 'fastify' {
  interface FastifyRequest {
    sender: Sender;
  }
}

/** Has to come before all other hooks. */
export function findSenders(app: FastifyInstance, proxies: TrustedProxies): void {
  app.decorateRequest('sender');
  app.addHook('onRequest', async (request) => {
    request.sender = proxies.senderOf(request.socket as Peer, request.headers);
  });
}
