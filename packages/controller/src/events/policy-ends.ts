/** Ends policies when their time has come, and tells it before. */
import type { EventDraft } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { AuditLog } from '../audit/audit.ts';
import type { Planning } from '../planning/planning.ts';
import type { Decisions } from '../store/decisions.ts';
import type { PolicyRecord } from '../store/records.ts';
import { keyOf, type View } from '../store/view.ts';
import type { EventLog } from './log.ts';

/** How often it looks, milliseconds. */
const LOOK_MS = 1000;
/** How long before its end a policy is told to end soon, milliseconds. */
const SOON_MS = 60 * 60 * 1000;

export interface PolicyEndsParts {
  view: View;
  decisions: Decisions;
  planning: Planning;
  audit: AuditLog;
  events: EventLog;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The same for what ends: it never goes back. */
  endClock: () => number;
  /** Milliseconds that only go forward. */
  steady: () => number;
  log: Logger;
}

/** One end: told or not, and when it is due on the clock that does not jump. */
interface Known {
  endsAt: string;
  due: number;
  told: boolean;
}

/**
 * A policy ends when either clock says so: where the time of the host is set back, it does not copy
 * for longer. Where the time is set forward, it ends too early, and can be enabled again.
 */
export class PolicyEnds {
  readonly #parts: PolicyEndsParts;
  readonly #known = new Map<string, Known>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;

  constructor(parts: PolicyEndsParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      return;
    }
    this.#looking = true;
    const { view, log } = this.#parts;
    try {
      for (const { value } of view.all('policies').values()) {
        if (value.endsAt !== undefined && value.enabled) {
          await this.#judge(value, this.#of(value, value.endsAt));
        }
      }
      for (const uid of this.#known.keys()) {
        if (![...view.all('policies').values()].some(({ value }) => value.uid === uid && value.enabled)) {
          this.#known.delete(uid);
        }
      }
    } catch (error) {
      log.error({ err: error }, 'policy not ended');
    } finally {
      this.#looking = false;
    }
  }

  #of({ uid, name }: PolicyRecord, endsAt: string): Known {
    const { endClock, steady, events } = this.#parts;
    const before = this.#known.get(uid);
    if (before?.endsAt === endsAt) {
      return before;
    }
    const message = soonMessage(endsAt);
    const told = [...events.newestFirst()].some(
      (event) => event.kind === 'policyEndsSoon' && event.object.name === name && event.message === message,
    );
    const known = { endsAt, due: steady() + Date.parse(endsAt) - endClock(), told };
    this.#known.set(uid, known);
    return known;
  }

  async #judge({ name }: PolicyRecord, known: Known): Promise<void> {
    const { endClock, steady, events } = this.#parts;
    const left = Math.min(Date.parse(known.endsAt) - endClock(), known.due - steady());
    if (left <= 0) {
      await this.#end(name, known.endsAt);
    } else if (left <= SOON_MS && !known.told) {
      known.told = true;
      await events.note(eventOf('policyEndsSoon', name, soonMessage(known.endsAt)));
    }
  }

  /** Disables a policy, as an operator would. */
  async #end(name: string, endsAt: string): Promise<void> {
    const { view, decisions, audit, events, planning, clock } = this.#parts;
    const at = new Date(clock()).toISOString();
    const event = { ...eventOf('policyEnded', name, `its time is over: it is disabled since ${endsAt}`), at };
    const who = { actor: 'controller', actorKind: 'controller', address: '', action: 'end' } as const;
    const entry = { ...who, resource: `policies/${name}`, before: { enabled: true }, after: { enabled: false } };
    const revision = await decisions.decide<number | undefined>(() => {
      const value = view.get('policies', name)?.value;
      if (value?.endsAt !== endsAt || !value.enabled) {
        return { ops: [], result: () => undefined };
      }
      return {
        ops: [{ type: 'put', key: keyOf('policies', name), value: { ...value, enabled: false, updatedAt: at } }],
        audit: { time: at, ...entry, events: [event] },
        result: (written) => written,
      };
    });
    if (revision !== undefined) {
      planning.request();
      await Promise.all([
        audit.append({ ...entry, outcome: 'done', revision }),
        events.noteDecision(revision, [event]),
      ]);
      decisions.audited(revision);
    }
  }
}

function soonMessage(endsAt: string): string {
  return `it ends automatically at ${endsAt}`;
}

function eventOf(kind: EventDraft['kind'], name: string, message: string): EventDraft {
  return { kind, object: { kind: 'policy', name }, message, cause: { kind: 'controller', name: 'controller' } };
}
