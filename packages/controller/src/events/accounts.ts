/** Whose share of the log an event takes. */
import type { Event, EventDraft } from '@mirrorplane/contract';

/** Groups have equal shares, and so have the members of a group. */
export interface Account {
  group: 'operators' | 'nodes' | 'policies' | 'strangers' | 'controller';
  member: string;
}

/** What a node can bring about is its own, whichever node reports it: that it connects, and which devices it says it has. */
export function accountOf({ kind, object, cause, node }: EventDraft | Event): Account {
  if (kind === 'policyStateChanged') {
    return { group: 'policies', member: object.name };
  }
  // With the name that a stranger has given.
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
