/** Translates events of agents, as far as an agent may report them. */
import type { AgentEvent, EventDraft } from '@mirrorplane/contract';

/** The accepted difference between the clocks of node and controller, milliseconds. */
const CLOCKS_MS = 60_000;
/**
 * The accepted age of a node's first events, milliseconds. The agent may have waited for its
 * controller. For a node that was heard before, the time of that report is the limit.
 */
const LATEST_MS = 400 * 24 * 60 * 60 * 1000;

/** The controller's knowledge of the reporting node. */
export interface Teller {
  node: string;
  /** Whether the node has, or had, that interface. */
  hasInterface: (id: string) => boolean;
  /** Name of the policy with this uid. Undefined if the node has no part in it. */
  policyName: (uid: string) => string | undefined;
  /** Whether a node of that name exists. */
  isNode: (name: string) => boolean;
  /**
   * Time of the agent's last message before the current connection. Earlier events would have been
   * reported then.
   */
  heardBefore: number | undefined;
  /** Milliseconds since 1970. */
  now: number;
}

/** Kinds of events that a program of the controller can cause. */
const CARRIED_OUT: ReadonlySet<AgentEvent['kind']> = new Set([
  'captureAttached',
  'captureDetached',
  'captureRefused',
  'datapathFailed',
]);

/**
 * Translates an event of an agent, with names instead of uids. It is about its interface, or else
 * about the node.
 * @returns undefined if the interface does not belong to the node
 */
export function agentEvent(event: AgentEvent, teller: Teller): EventDraft | undefined {
  const { seq: _, interface: id, policy: uid, cause, to, at, ...rest } = event;
  const { node } = teller;
  if (id !== undefined && !teller.hasInterface(id)) {
    return undefined;
  }
  const policy = uid === undefined ? undefined : teller.policyName(uid);
  // The controller is named as the cause only of events that its programs can cause.
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

/**
 * The agent's time if it is plausible. Otherwise the controller's time, with the agent's time as
 * `claimedAt`.
 */
function timeOf(at: string, { heardBefore = 0, now }: Teller): { at: string; claimedAt?: string } {
  const time = Date.parse(at);
  const earliest = Math.max(now - LATEST_MS, heardBefore - CLOCKS_MS);
  if (time >= earliest && time <= now + CLOCKS_MS) {
    return { at: new Date(time).toISOString() };
  }
  return { at: new Date(now).toISOString(), claimedAt: at };
}
