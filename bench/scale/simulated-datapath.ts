/**
 * A data path in memory that counts: what a kernel would say of a node whose guests send all the
 * time. It keeps the promises of `Datapath` that an agent needs for policies. Looks and probes see
 * nothing.
 */
import { type ApplyResult, type DatapathState, FakeDatapath, type HookCapture } from '@mirrorplane/agent/testing';
import { type CaptureCounts, type Count, type CounterReport, parseDeliveryId, ZERO } from '@mirrorplane/contract';

/** Packets a second of a source in each direction, and bytes of each. */
const RATE = { packets: 20, bytes: 500 };

/** What nodes of one process have sent to each other, by policy and sending node, in packets. */
export class SentCopies {
  readonly #sent = new Map<string, number>();

  set(policy: string, node: string, packets: number): void {
    this.#sent.set(`${policy} ${node}`, packets);
  }

  get(policy: string, node: string): number {
    return this.#sent.get(`${policy} ${node}`) ?? 0;
  }
}

interface Counted {
  capture: HookCapture;
  /** Packets until `since`. */
  before: number;
  /** Milliseconds; undefined: it has no device now. */
  since: number | undefined;
}

interface Parts {
  node: string;
  sent: SentCopies;
  /** Called when a state is in force. */
  applied: (state: DatapathState) => void;
  /** Milliseconds of a monotonic clock. */
  clock: () => number;
}

export class SimulatedDatapath extends FakeDatapath {
  readonly #parts: Parts;
  /** Captures that have or had a device, by id. */
  readonly #counted = new Map<string, Counted>();

  constructor(parts: Parts) {
    super();
    this.#parts = parts;
  }

  override async apply(desired: DatapathState): Promise<ApplyResult> {
    const before = this.#attached();
    this.state = desired;
    const now = this.#parts.clock();
    const begun: string[] = [];
    const present = new Set<string>();
    for (const capture of desired.captures) {
      if (capture.ifindex === 0) {
        continue;
      }
      present.add(capture.id);
      const counted = this.#counted.get(capture.id) ?? { capture, before: 0, since: undefined };
      if (counted.since === undefined) {
        begun.push(capture.id);
        counted.since = now;
      }
      counted.capture = capture;
      this.#counted.set(capture.id, counted);
    }
    for (const [id, counted] of this.#counted) {
      if (!present.has(id) && counted.since !== undefined) {
        counted.before = packetsOf(counted, now);
        counted.since = undefined;
      }
    }
    this.#parts.applied(desired);
    const attached = begun.length;
    return {
      ...{ refused: [], begun, problems: [], attached, detached: before + attached - present.size },
      ...{ written: attached, repaired: [], held: [], unseen: [] },
    };
  }

  override async counters(): Promise<CounterReport> {
    const { node, sent, clock } = this.#parts;
    const now = clock();
    const copied = new Map<string, number>();
    const captures = [...this.#counted.values()].map((counted) => {
      const { policy, source, direction } = counted.capture;
      const packets = packetsOf(counted, now);
      copied.set(policy, (copied.get(policy) ?? 0) + packets);
      return { policy, source, direction, counts: countsOf(packets) };
    });
    const terminations = this.state.terminations.map(({ id, policy, node: sender }) => {
      const received = amount(sent.get(policy, sender));
      const lost = { dropped: {}, missing: ZERO, late: ZERO };
      return { termination: id, policy, node: sender, received, delivered: received, relayed: ZERO, ...lost };
    });
    const deliveries = this.state.deliveries.map(({ id, policy }) => {
      const packets = copied.get(policy) ?? 0;
      if (parseDeliveryId(id)?.kind === 'erspan') {
        sent.set(policy, node, packets);
      }
      return { delivery: id, policy, sent: amount(packets) };
    });
    return { epoch: 'simulated', captures, deliveries, terminations, peers: [], unknownErspan: 0 };
  }

  #attached(): number {
    return [...this.#counted.values()].filter(({ since }) => since !== undefined).length;
  }
}

function packetsOf({ before, since }: Counted, now: number): number {
  return before + (since === undefined ? 0 : Math.floor(((now - since) / 1000) * RATE.packets));
}

function amount(packets: number): Count {
  return { packets, bytes: packets * RATE.bytes };
}

function countsOf(packets: number): CaptureCounts {
  const count = amount(packets);
  return { matched: count, sampledOut: ZERO, copied: count, truncated: ZERO, dropped: {}, skipped: {} };
}
