/** What it means for agents that this controller leads others: its term, and the list of all. */
import { type LeaderMessage, MAX_CONTROLLERS } from '@mirrorplane/contract';
import type { Controllers } from '../cluster/controllers.ts';
import type { Leadership } from '../cluster/leadership.ts';
import { CLOSE, type Session } from './session.ts';

/** Text of a refusal. */
const NO_LEADER = 'another controller leads';

export class Leading {
  readonly #leadership: Leadership | undefined;

  /** @param leadership undefined: there are no other controllers */
  constructor(leadership: Leadership | undefined) {
    this.#leadership = leadership;
  }

  /**
   * Whether programs may be sent: this controller is sure that it leads. A process that was asleep
   * is not, until it has asked etcd.
   */
  get mayTell(): boolean {
    return this.#leadership?.isSure ?? true;
  }

  /** Calls `listener` when programs may be sent again. */
  onMayTell(listener: () => void): void {
    this.#leadership?.hold.onSure(listener);
  }

  /** Calls `listener` when the list of controllers has changed. */
  onChange(listener: () => void): void {
    this.#leadership?.controllers.onChange(listener);
  }

  /**
   * Why the agent of a session is refused: it knows a later leader. After a backup was restored, a
   * leader has a lower term than agents know, and leads all the same: etcd says so. The session is
   * closed then. Undefined: it is not refused.
   */
  refusal(session: Session): undefined | Promise<string | undefined> {
    const leadership = this.#leadership;
    if (leadership === undefined || (session.term ?? 0) <= leadership.term) {
      return undefined;
    }
    return leadership.hold.prove().then((leads) => {
      if (leads) {
        return undefined;
      }
      session.close(CLOSE.noLeader, NO_LEADER);
      return NO_LEADER;
    });
  }

  /** Tells an agent who leads, if it is of a version that asks for it. */
  tell(session: Session): void {
    if (this.#leadership === undefined || session.term === undefined) {
      return;
    }
    const { term, controllers } = this.#leadership;
    const message: LeaderMessage = {
      type: 'leader',
      term: Math.max(term, session.term),
      controllers: agentAddresses(controllers),
    };
    session.tell(message);
  }
}

/** Addresses for agents, by name. Of more than agents take, that of this controller is among them. */
function agentAddresses(controllers: Pick<Controllers, 'self' | 'all'>): string[] {
  const all = [controllers.self, ...controllers.all()].map(({ agents }) => agents);
  return [...new Set(all)].slice(0, MAX_CONTROLLERS).sort();
}
