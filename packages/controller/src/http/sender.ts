/** Finds the sender of each request before anything else does, and puts it into `request.sender`. */
import type { FastifyInstance } from 'fastify';
import type { Peer, Sender } from '../auth/proxies.ts';
import type { Services } from '../services.ts';

declare module 'fastify' {
  interface FastifyRequest {
    sender: Sender;
  }
}

/** Has to come before all other hooks. */
export function findSenders(
  app: FastifyInstance,
  { proxies, leadership }: Pick<Services, 'proxies' | 'leadership'>,
): void {
  app.decorateRequest('sender');
  app.addHook('onRequest', async (request) => {
    const { peer, proxies: trusted } = leadership?.tunnels.peerOf(request.socket, proxies) ?? {
      peer: request.socket as Peer,
      proxies,
    };
    request.sender = trusted.senderOf(peer, request.headers);
  });
}
