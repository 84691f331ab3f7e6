/** Events of agents in the words of the controller, as far as an agent may say so. */
import type { AgentEvent, EventDraft } from '@mirrorplane/contract';

/** Milliseconds that the clock of a node may be ahead of, or behind, that of the controller. */
const CLOCKS_MS = 60_000;
/**
 * Milliseconds that the first events of a node may be late, whose agent may have waited for its controller. Of a node that
 * was heard before it is known when that was.
 */
const LATEST_MS = 400 * 24 * 60 * 60 * 1000;

/** What the controller knows of the node whose agent tells something. */
export interface Teller {
  node: string;
  /** Whether the node has, or had, that interface. */
  hasInterface: (id: string) => boolean;
  /** Name of the policy with this uid; undefined where the node has no part in it. */
  policyName: (uid: string) => string | undefined;
  /** Whether there is a node of that name. */
  isNode: (name: string) => boolean;
  /** When the agent was heard before the present connection; it would have told then what happened earlier. */
  heardBefore: number | undefined;
  /** Milliseconds since 1970. */
  now: number;
}

/** What an agent does where the program of the controller asks for it. */
const CARRIED_OUT: ReadonlySet<AgentEvent['kind']> = new Set([
  'captureAttached',
  'captureDetached',
  'captureRefused',
  'datapathFailed',
]);

/**
 * What an agent tells, with names for uids. It is about the interface that it names, else about the node.
 * @returns undefined where the interface is not one of the node
 */
export function agentEvent(event: AgentEvent, teller: Teller): EventDraft | undefined {
  const { seq: _, interface: id, policy: uid, cause, to, at, ...rest } = event;
  const { node } = teller;
  if (id !== undefined && !teller.hasInterface(id)) {
    return undefined;
  }
  const policy = uid === undefined ? undefined : teller.policyName(uid);
  // The controller is named as the cause only of what it can have asked for.
  const isAsked = cause === 'controller' && CARRIED_OUT.has(event.kind) && (uid === undefined || policy !== undefined);
  const target = to !== undefined && teller.isNode(to) ? to : undefined;
  return {
    ...rest,
    ...timeOf(at, teller),
    object: id === undefined ? { kind: 'node', name: node } : { kind: 'interface', name: id },
    cause: isAsked ? { kind: 'controller', name: 'controller' } : { kind: 'agent', name: node },
    ...(id !== undefined && { node }),
    ...(target !== undefined && { node: target, from: node }),
    ...(policy !== undefined && { policy }),
  };
}

/** The agent's own time where it can be; else that of the controller, with the other beside it. */
function timeOf(at: string, { heardBefore = 0, now }: Teller): { at: string; claimedAt?: string } {
  const time = Date.parse(at);
  const earliest = Math.max(now - LATEST_MS, heardBefore - CLOCKS_MS);
  if (time >= earliest && time <= now + CLOCKS_MS) {
    return { at: new Date(time).toISOString() };
  }
  return { at: new Date(now).toISOString(), claimedAt: at };
}
