/** Who acts without a request of a user: the agent of a node, and the controller itself. */
import type { AuditWho } from '@mirrorplane/contract';

/** The agent of a node. @param address of the agent */
export function nodeActor(node: string, address: string): AuditWho {
  return { actor: `node:${node}`, actorKind: 'node', address };
}

/** The controller, if nobody has asked. */
export const CONTROLLER_ACTOR: AuditWho = { actor: 'controller', actorKind: 'controller', address: 'controller' };
