/** Decides whose share of the log an event uses. */
import type { Event, EventDraft } from '@mirrorplane/contract';

/** Groups have equal shares. Within a group, members have equal shares. */
export interface Account {
  group: 'operators' | 'nodes' | 'policies' | 'strangers' | 'controller';
  member: string;
}

/**
 * Events that a node can cause count for this node, even if another node reports them: its
 * connections, and the devices that it claims.
 */
export function accountOf({ kind, object, cause, node }: EventDraft | Event): Account {
  if (kind === 'policyStateChanged') {
    return { group: 'policies', member: object.name };
  }
  // The name may have been given by a stranger.
  if (kind === 'requestRefused' && cause.kind === 'agent') {
    return { group: 'strangers', member: '' };
  }
  if (cause.kind === 'operator') {
    return { group: 'operators', member: cause.name };
  }
  if (cause.kind === 'agent') {
    return { group: 'nodes', member: cause.name };
  }
  const about = object.kind === 'node' ? object.name : node;
  return about === undefined ? { group: 'controller', member: '' } : { group: 'nodes', member: about };
}
