/** Computes the cost of live migrations of sources from the reports of both nodes' agents. */
import type { EventDraft } from '@mirrorplane/contract';

/** The most interfaces that are remembered between both reports of a migration. */
const MAX_WAITING = 4096;

interface Arrival {
  node: string;
  ms: number;
  missed: number | undefined;
  /** Time of the first report of the device, milliseconds since 1970. NaN: unknown. */
  seenAt: number;
}

interface Departure {
  node: string;
  duplicated: number | undefined;
  policy: string | undefined;
  /** Milliseconds since 1970. NaN: unknown. */
  at: number;
}

/**
 * Combines the `captureAttached` of the target node and the `captureDetached` of the origin node.
 * The two reports may arrive in any order. The migration was live only if the new device appeared
 * before the old one was removed.
 */
export class HandoverCosts {
  /** By interface: the last place of its capture. */
  readonly #arrivals = new Map<string, Arrival>();
  /** By interface: a departure without a reported arrival. */
  readonly #departures = new Map<string, Departure>();

  /**
   * Processes an event of an agent. @returns `migrationMeasured` if the event completes a migration
   */
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
    // The agent ended it, so the device is gone.
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

/** Sets the value as the newest, and forgets the oldest value beyond the bound. */
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
