/** What live migrations of sources have cost, put together from what the agents of both nodes tell. */
import type { EventDraft } from '@mirrorplane/contract';

/** Interfaces that are remembered between the two ends of their moves. */
const MAX_WAITING = 4096;

interface Arrival {
  node: string;
  ms: number;
  missed: number | undefined;
}

/** Joins the `captureAttached` of the node that a guest came to and the `captureDetached` of the one that it left. */
export class MoveCosts {
  /** By interface: where it was captured last. */
  readonly #arrivals = new Map<string, Arrival>();

  /** Takes an event of an agent. @returns `migrationMeasured`, where that event is the end of a move */
  take({ kind, object, node, policy, cause, ms, missed, doubled }: EventDraft): EventDraft[] {
    const id = object.name;
    if (object.kind !== 'interface' || node === undefined) {
      return [];
    }
    if (kind === 'captureAttached' && ms !== undefined) {
      this.#arrivals.delete(id);
      this.#arrivals.set(id, { node, ms, missed });
      const [oldest] = this.#arrivals.keys();
      if (this.#arrivals.size > MAX_WAITING) {
        this.#arrivals.delete(oldest!);
      }
    }
    const arrival = this.#arrivals.get(id);
    // Ended by the agent: the device is gone.
    if (kind !== 'captureDetached' || cause.kind !== 'agent' || !arrival || arrival.node === node) {
      return [];
    }
    this.#arrivals.delete(id);
    const number = (count: number | undefined) => count ?? 'an unknown number of';
    const cost = `${number(arrival.missed)} packets missed, ${number(doubled)} doubled`;
    const message = `moved from node ${node}: captured ${arrival.ms} ms after its device was seen, ${cost}`;
    return [
      {
        ...{ kind: 'migrationMeasured', object, node: arrival.node, from: node, message },
        cause: { kind: 'agent', name: arrival.node },
        ...(policy !== undefined && { policy }),
        ms: arrival.ms,
        ...(doubled !== undefined && { doubled }),
        ...(arrival.missed !== undefined && { missed: arrival.missed }),
      },
    ];
  }
}
