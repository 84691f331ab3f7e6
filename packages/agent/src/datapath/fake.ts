/** A data path in memory. It behaves as the interface of the real one promises. */
import {
  type CaptureCounts,
  type CounterReport,
  type DeliveryReport,
  type ProbeCounts,
  type TerminationReport,
  ZERO,
} from '@mirrorplane/contract';
import type {
  ApplyResult,
  CaptureRefusal,
  Datapath,
  DatapathState,
  DeliveryEntry,
  DeviceBudget,
  HookCapture,
  LookDrop,
  LookPacket,
  LookReading,
  NodeBudget,
  ProbeEntry,
  Repair,
  TerminationEntry,
} from './datapath.ts';

/** No capture, no delivery, no termination. */
export const EMPTY_STATE: DatapathState = { captures: [], deliveries: [], terminations: [], mirrorDevice: 0 };

function noCounts(): CaptureCounts {
  return { matched: ZERO, sampledOut: ZERO, copied: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
}

function noProbeCounts(): ProbeCounts {
  const nothing = { made: ZERO, copied: ZERO, truncated: ZERO, sent: ZERO, received: ZERO, delivered: ZERO };
  return { ...nothing, dropped: {}, refused: {} };
}

const hookKey = ({ ifindex, hook }: HookCapture) => `${ifindex}/${hook}`;
const sameEntry = (a: object | undefined, b: object) => JSON.stringify(a) === JSON.stringify(b);

/**
 * An implementation of `Datapath` in memory. Its state stands for the kernel's, and outlives
 * `close()`.
 */
export class FakeDatapath implements Datapath {
  /** The last applied state. */
  state: DatapathState = EMPTY_STATE;
  /** Number of `apply` calls. */
  applied = 0;
  /** Reading time of the newest saved report. */
  savedAt: number | undefined;
  /** If set, the next `apply` calls throw it. */
  failure: Error | undefined;
  /** Interference that the next `apply` repairs. */
  interference: Repair[] = [];
  /** What the next `readLooks` shall return of looks that are in the state. */
  seen: LookPacket[] = [];
  /** Likewise of drops. */
  heard: LookDrop[] = [];
  /** Why looks do not hear drops. */
  unheard: string | undefined;
  /** Probes that are expected or made. A made one is sent. */
  probes = new Map<string, ProbeCounts>();
  readonly #refusals = new Map<number, Pick<CaptureRefusal, 'code' | 'gone'>>();
  readonly #captures = new Map<string, CaptureCounts>();
  /** Counts of the device budgets, by ifindex. */
  readonly spent = new Map<number, { passed: number; refused: number }>();
  readonly #budgets = new Map<number, number>();
  /** `ifindex/hook`, each with one program. */
  #attached = new Set<string>();
  #epoch = 1;
  #open = false;
  #nodeRate = 0;

  /** Refuses every capture on this device from now on. @param gone the device was removed */
  refuse(ifindex: number, code: CaptureRefusal['code'] = 'ATTACH_FAILED', gone = false): void {
    this.#refusals.set(ifindex, { code, ...(gone && { gone }) });
  }

  /** Ends `refuse`. */
  accept(ifindex: number): void {
    this.#refusals.delete(ifindex);
  }

  /** Adds so many packets of 100 bytes to the matched and copied counts of a capture. */
  count(id: string, packets: number): void {
    const counts = { packets, bytes: packets * 100 };
    this.#captures.set(id, { ...(this.#captures.get(id) ?? noCounts()), matched: counts, copied: counts });
  }

  isIntact(): boolean {
    return this.interference.length === 0;
  }

  hookKind(): 'tcx' {
    return 'tcx';
  }

  async prepare(): Promise<{ installed: boolean }> {
    return { installed: true };
  }

  async open(): Promise<void> {
    this.#open = true;
  }

  async apply(desired: DatapathState): Promise<ApplyResult> {
    this.#mustBeOpen();
    this.applied++;
    if (this.failure !== undefined) {
      throw this.failure;
    }
    checkReferences(desired);
    const refused = desired.captures.flatMap((capture) => this.#refusalOf(capture));
    const refusedIds = new Set(refused.map((refusal) => refusal.id));
    const hooks = new Set(
      desired.captures.filter((capture) => capture.ifindex !== 0 && !refusedIds.has(capture.id)).map(hookKey),
    );
    const inForce = (capture: HookCapture) => this.#attached.has(hookKey(capture));
    const result = {
      refused,
      begun: desired.captures
        .filter((capture) => capture.ifindex !== 0 && !refusedIds.has(capture.id) && !inForce(capture))
        .map(({ id }) => id),
      problems: [],
      attached: hooks.difference(this.#attached).size,
      detached: this.#attached.difference(hooks).size,
      written: written(this.state, desired),
      repaired: this.interference,
      held: [],
      unseen: [],
      ...(desired.looks?.length && this.unheard && { unheard: this.unheard }),
    };
    this.interference = [];
    this.#attached = hooks;
    this.state = structuredClone(desired);
    if (!desired.protectCpu) {
      this.#nodeRate = 0;
    }
    const kept = new Set(desired.captures.map((capture) => capture.id));
    for (const id of this.#captures.keys()) {
      if (!kept.has(id)) {
        this.#captures.delete(id);
      }
    }
    return result;
  }

  async counters(): Promise<CounterReport> {
    this.#mustBeOpen();
    return {
      epoch: `fake-${this.#epoch}`,
      captures: this.state.captures.map(({ id, policy, source, direction }) => {
        return { policy, source, direction, counts: this.#captures.get(id) ?? noCounts() };
      }),
      deliveries: this.state.deliveries.map(deliveryReport),
      terminations: this.state.terminations.map(terminationReport),
      peers: [],
      unknownErspan: 0,
    };
  }

  countersSaved(readAt: number): void {
    this.savedAt = readAt;
  }

  countsOf(ids: readonly string[]): ReadonlyMap<string, CaptureCounts> {
    this.#mustBeOpen();
    return new Map(ids.flatMap((id) => (this.#captures.has(id) ? [[id, this.#captures.get(id)!] as const] : [])));
  }

  async deviceBudgets(): Promise<DeviceBudget[]> {
    this.#mustBeOpen();
    const { protect, deliveries } = this.state;
    const leaving = deliveries.filter(({ kind, ifindex }) => kind !== 'local' && ifindex !== 0);
    const devices = new Set(protect ? leaving.map(({ ifindex }) => ifindex) : []);
    for (const ifindex of this.#budgets.keys()) {
      if (!devices.has(ifindex)) {
        this.#budgets.delete(ifindex);
      }
    }
    return [...devices].map((ifindex) => {
      const { passed = 0, refused = 0 } = this.spent.get(ifindex) ?? {};
      return { ifindex, rate: this.#budgets.get(ifindex) ?? 0, passed, refused };
    });
  }

  haveBudgetsMoved(): boolean {
    this.#mustBeOpen();
    return true; // it does not follow them
  }

  async setDeviceBudgets(rates: ReadonlyMap<number, number>): Promise<void> {
    for (const { ifindex } of await this.deviceBudgets()) {
      const rate = rates.get(ifindex);
      if (rate !== undefined) {
        this.#budgets.set(ifindex, rate);
      }
    }
  }

  async nodeBudget(): Promise<NodeBudget> {
    this.#mustBeOpen();
    return { rate: this.#nodeRate, passed: 0, refused: 0 };
  }

  async setNodeBudget(rate: number): Promise<void> {
    this.#mustBeOpen();
    this.#nodeRate = rate;
  }

  async readLooks(most: number): Promise<LookReading> {
    this.#mustBeOpen();
    const looks = (this.state.looks ?? []).map(({ id }) => id);
    const isOfLook = ({ look }: { look: string }) => looks.includes(look);
    const packets = this.seen.splice(0, most).filter(isOfLook);
    const drops = this.heard.splice(0, most).filter(isOfLook);
    const countOf = (id: string, all: readonly { look: string }[]) => all.filter(({ look }) => look === id).length;
    const countsOf = (id: string) => {
      const seen = countOf(id, packets);
      return { seen, written: seen, overRate: 0, ringFull: 0, dropsHeard: countOf(id, drops), dropsLost: 0 };
    };
    return { packets, drops, counts: new Map(looks.map((id) => [id, countsOf(id)])) };
  }

  async expectProbes(names: readonly string[]): Promise<void> {
    this.#mustBeOpen();
    this.probes = new Map(names.map((name) => [name, this.probes.get(name) ?? noProbeCounts()]));
  }

  async makeProbe({ name }: ProbeEntry): Promise<void> {
    this.#mustBeOpen();
    if (this.failure !== undefined) {
      throw this.failure;
    }
    const one = { packets: 1, bytes: 64 };
    this.probes.set(name, { ...noProbeCounts(), made: one, copied: one, sent: one });
  }

  async readProbes(): Promise<ReadonlyMap<string, ProbeCounts>> {
    this.#mustBeOpen();
    return this.probes;
  }

  close(): void {
    this.#open = false;
  }

  async uninstall(): Promise<void> {
    this.state = EMPTY_STATE;
    this.#attached = new Set();
    this.#captures.clear();
    this.#epoch++;
    this.#open = false;
  }

  #mustBeOpen(): void {
    if (!this.#open) {
      throw new Error('the data path is not open');
    }
  }

  #refusalOf({ id, ifindex }: HookCapture): CaptureRefusal[] {
    const refusal = this.#refusals.get(ifindex);
    return refusal === undefined ? [] : [{ id, ifindex, ...refusal, message: `refused by the test: ${refusal.code}` }];
  }
}

function checkReferences(desired: DatapathState): void {
  const deliveries = new Set(desired.deliveries.map((delivery) => delivery.id));
  for (const { id, delivery } of [...desired.captures, ...desired.terminations]) {
    if (!deliveries.has(delivery)) {
      throw new Error(`${id}: there is no delivery ${delivery}`);
    }
  }
}

function written(before: DatapathState, after: DatapathState): number {
  let entries = 0;
  for (const key of ['captures', 'deliveries', 'terminations'] as const) {
    const old = new Map<string, object>(before[key].map((entry) => [entry.id, entry]));
    for (const entry of after[key]) {
      if (!sameEntry(old.get(entry.id), entry)) {
        entries++;
      }
      old.delete(entry.id);
    }
    entries += old.size;
  }
  return entries;
}

function deliveryReport({ id, policy }: DeliveryEntry): DeliveryReport {
  return { delivery: id, policy, sent: ZERO };
}

function terminationReport({ id, policy, node }: TerminationEntry): TerminationReport {
  return { termination: id, policy, node, received: ZERO, delivered: ZERO, relayed: ZERO, dropped: {} };
}
