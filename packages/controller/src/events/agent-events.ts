/** Events of agents in the words of the controller. */
import type { AgentEvent, EventDraft } from '@mirrorplane/contract';
import type { View } from '../view.ts';

/** How many policies that were deleted are remembered by name. */
const MAX_FORMER = 1000;

/** Names of policies by uid, also of those that were deleted while this controller ran: agents tell of their end later. */
export class PolicyNames {
  readonly #names = new Map<string, string>();

  /** Takes over what the view has now. */
  learn(view: View): void {
    const policies = view.all('policies');
    for (const { value } of policies.values()) {
      this.#names.set(value.uid, value.name);
    }
    for (const uid of this.#names.keys()) {
      if (this.#names.size <= policies.size + MAX_FORMER) {
        return;
      }
      const name = this.#names.get(uid)!;
      if (policies.get(name)?.value.uid !== uid) {
        this.#names.delete(uid);
      }
    }
  }

  get(uid: string): string | undefined {
    return this.#names.get(uid);
  }
}

/** What an agent tells, with names for uids. It is about the interface that it names, else about the node. */
export function agentEvent(node: string, event: AgentEvent, names: PolicyNames): EventDraft {
  const { seq: _, interface: id, policy: uid, cause, to, ...rest } = event;
  const policy = uid === undefined ? undefined : names.get(uid);
  return {
    ...rest,
    object: id === undefined ? { kind: 'node', name: node } : { kind: 'interface', name: id },
    cause: cause === 'agent' ? { kind: 'agent', name: node } : { kind: 'controller', name: 'controller' },
    ...(id !== undefined && { node }),
    ...(to !== undefined && { node: to, from: node }),
    ...(policy !== undefined && { policy }),
  };
}
