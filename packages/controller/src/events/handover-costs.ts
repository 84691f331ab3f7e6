/** What live migrations of sources have cost, put together from what the agents of both nodes tell. */
import type { EventDraft } from '@mirrorplane/contract';

/** Interfaces that are remembered between the two ends of their moves. */
const MAX_WAITING = 4096;

interface Arrival {
  node: string;
  ms: number;
  missed: number | undefined;
  /** When the device was seen there, milliseconds since 1970; NaN: not known. */
  seenAt: number;
}

interface Departure {
  node: string;
  duplicated: number | undefined;
  policy: string | undefined;
  /** Milliseconds since 1970; NaN: not known. */
  at: number;
}

/**
 * Joins the `captureAttached` of the node that a guest came to and the `captureDetached` of the one that it left. The two
 * agents are heard in any order; only a device that came before the other one went belongs to a live migration.
 */
export class HandoverCosts {
  /** By interface: where it was captured last. */
  readonly #arrivals = new Map<string, Arrival>();
  /** By interface: the end that nobody has told the beginning of. */
  readonly #departures = new Map<string, Departure>();

  /** Takes an event of an agent. @returns `migrationMeasured`, where that event is the end of a move */
  take({ kind, object, node, policy, cause, ms, missed, duplicated, at = '' }: EventDraft): EventDraft[] {
    const id = object.name;
    if (object.kind !== 'interface' || node === undefined) {
      return [];
    }
    if (kind === 'captureAttached' && ms !== undefined) {
      const arrival = { node, ms, missed, seenAt: Date.parse(at) - ms };
      const departure = this.#departures.get(id);
      this.#departures.delete(id);
      if (departure && departure.node !== node && arrival.seenAt <= departure.at) {
        return [measured(object, arrival, departure)];
      }
      keep(this.#arrivals, id, arrival);
    }
    // Ended by the agent: the device is gone.
    if (kind !== 'captureDetached' || cause.kind !== 'agent') {
      return [];
    }
    const departure = { node, duplicated, policy, at: Date.parse(at) };
    const arrival = this.#arrivals.get(id);
    if (!arrival || arrival.node === node) {
      keep(this.#departures, id, departure);
      return [];
    }
    this.#arrivals.delete(id);
    return [measured(object, arrival, departure)];
  }
}

/** Sets the value, as the newest one, and forgets the oldest one beyond the bound. */
function keep<T>(map: Map<string, T>, id: string, value: T): void {
  map.delete(id);
  map.set(id, value);
  const [oldest] = map.keys();
  if (map.size > MAX_WAITING) {
    map.delete(oldest!);
  }
}

function measured(object: EventDraft['object'], arrival: Arrival, departure: Departure): EventDraft {
  const { node, ms, missed } = arrival;
  const { node: from, duplicated, policy } = departure;
  const number = (count: number | undefined) => count ?? 'an unknown number of';
  const cost = `${number(missed)} packets missed, ${number(duplicated)} duplicated on that node`;
  return {
    ...{ kind: 'migrationMeasured', object, node, from, cause: { kind: 'agent', name: node } },
    message: `migrated from node ${from}: captured ${ms} ms after its device was seen, ${cost}`,
    ...(policy !== undefined && { policy }),
    ms,
    ...(duplicated !== undefined && { duplicated }),
    ...(missed !== undefined && { missed }),
  };
}
