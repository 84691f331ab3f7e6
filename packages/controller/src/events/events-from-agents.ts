/** Adds events of agents to the log, as far as an agent may report them. */
import type { EventsMessage } from '@mirrorplane/contract';
import type { NodeParts } from '../planning/node-parts.ts';
import type { Planning } from '../planning/planning.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { agentEvent } from './agent-events.ts';
import { HandoverCosts } from './handover-costs.ts';
import type { EventLog } from './log.ts';
import { PolicyNames } from './policy-names.ts';

interface Parts {
  events: EventLog;
  view: View;
  live: LiveNodes;
  planning: Planning;
  nodeParts: NodeParts;
  /** Milliseconds since 1970. */
  clock: () => number;
}

export class EventsFromAgents {
  readonly #parts: Parts;
  readonly #names = new PolicyNames();
  readonly #costs = new HandoverCosts();

  constructor(parts: Parts) {
    this.#parts = parts;
    parts.planning.onPlanned(() => this.#names.learn(parts.view));
  }

  /**
   * Adds events of an agent. @returns the number of the last event, after all events up to it are
   * stored
   */
  take(node: string, { epoch, events }: EventsMessage): Promise<number> {
    const { events: log, view, live, nodeParts, clock } = this.#parts;
    this.#names.learn(view);
    const teller = {
      node,
      hasInterface: (id: string) => live.claims.hasHad(node, id),
      policyName: (uid: string) => (nodeParts.hasPolicy(node, uid) ? this.#names.get(uid) : undefined),
      isNode: (name: string) => view.get('nodes', name) !== undefined,
      heardBefore: live.get(node)?.heardBefore,
      now: clock(),
    };
    return log.take(node, epoch, events, (event) => {
      const draft = agentEvent(event, teller);
      if (draft === undefined) {
        return undefined;
      }
      const measured = this.#costs.take(draft);
      // After the event that completes it.
      if (measured.length > 0) {
        setImmediate(() => void log.note(...measured));
      }
      return draft;
    });
  }
}
