/**
 * The real data path: eBPF programs at the hooks of devices, and maps pinned in bpffs. It continues
 * to work without the agent.
 */
import type { CaptureCounts, CounterReport, HookKind, ProbeCounts } from '@mirrorplane/contract';
import type {
  ApplyOptions,
  ApplyResult,
  Datapath,
  DatapathState,
  DeviceBudget,
  LookReading,
  NodeBudget,
  ProbeEntry,
} from '../datapath.ts';
import { ApplyRun } from './apply-run.ts';
import { Expedite } from './expedite.ts';
import { type HookChoice, makeLinks } from './hook-kind.ts';
import { type Prepared, prepare } from './install.ts';
import { type Opened, openParts } from './opened.ts';
import { uninstall } from './uninstall.ts';

export interface KernelDatapathOptions {
  /** Folder on a BPF file system for this node only, for example /sys/fs/bpf/mirrorplane. */
  bpffs: string;
  /** The object file of the BPF programs. Default: the one of this release. */
  object?: string;
  /** The object file of what hears drops. Default: the one of this release. */
  hearing?: string;
  /** How BPF programs are attached. Default auto. */
  hook?: HookChoice;
}

/** Makes the data path of this network namespace. Nothing is changed before open(). */
export function createKernelDatapath(options: KernelDatapathOptions): Datapath {
  return new KernelDatapath(options);
}

/** The life cycle of a data path. One apply is in `apply-run.ts`. */
class KernelDatapath implements Datapath {
  readonly #bpffs: string;
  readonly #object: string | undefined;
  readonly #hearing: string | undefined;
  readonly #hook: HookChoice;
  readonly #expedite: Expedite;
  #prepared: Prepared | undefined;
  #opened: Opened | undefined;

  constructor({ bpffs, object, hearing, hook = 'auto' }: KernelDatapathOptions) {
    this.#bpffs = bpffs;
    this.#object = object;
    this.#hearing = hearing;
    this.#hook = hook;
    this.#expedite = new Expedite(bpffs);
  }

  async prepare(): Promise<{ installed: boolean }> {
    // The installed build may have been removed since `prepare`.
    if (this.#prepared?.object === undefined) {
      this.#prepared = prepare(this.#bpffs, this.#object);
    }
    return { installed: this.#prepared.object === undefined };
  }

  async open(): Promise<void> {
    if (this.#opened) {
      return;
    }
    const kinds = makeLinks(this.#hook, this.#bpffs);
    this.#expedite.recover();
    await this.prepare();
    const prepared = this.#prepared!;
    this.#prepared = undefined;
    const [bpffs, expedite, hearing] = [this.#bpffs, this.#expedite, this.#hearing];
    this.#opened = await openParts({ ...kinds, bpffs, prepared, expedite, hearing });
  }

  async apply(desired: DatapathState, options: ApplyOptions = {}): Promise<ApplyResult> {
    return new ApplyRun(this.#get(), this.#expedite, desired, options).run();
  }

  isIntact(half?: 0 | 1): boolean {
    return this.#get().interference.isIntact(half);
  }

  hookKind(): HookKind {
    return this.#get().links.kind;
  }

  async counters(): Promise<CounterReport> {
    return this.#get().counters.read();
  }

  countersSaved(readAt: number): void {
    this.#get().counters.saved(readAt);
  }

  countsOf(ids: readonly string[]): ReadonlyMap<string, CaptureCounts> {
    return this.#get().counters.countsOf(ids);
  }

  async deviceBudgets(): Promise<DeviceBudget[]> {
    return this.#get().devices.read();
  }

  haveBudgetsMoved(): boolean {
    return this.#get().devices.haveMoved();
  }

  async setDeviceBudgets(rates: ReadonlyMap<number, number>): Promise<void> {
    this.#get().devices.set(rates);
  }

  async nodeBudget(): Promise<NodeBudget> {
    return this.#get().node.read();
  }

  async setNodeBudget(rate: number): Promise<void> {
    this.#get().node.set(rate);
  }

  async readLooks(most: number): Promise<LookReading> {
    return this.#get().looks.read(most);
  }

  async expectProbes(names: readonly string[]): Promise<void> {
    this.#get().probes.expect(names);
  }

  async makeProbe(probe: ProbeEntry): Promise<void> {
    const { probes, helper } = this.#get();
    probes.make(probe, helper);
  }

  async readProbes(): Promise<ReadonlyMap<string, ProbeCounts>> {
    return this.#get().probes.read();
  }

  close(): void {
    this.#opened?.looks.close();
    this.#opened?.helperDevice.close();
    this.#opened?.holding.close();
    this.#opened?.links.close();
    this.#opened?.installation.close();
    this.#opened = undefined;
    this.#prepared?.object?.close();
    this.#prepared = undefined;
  }

  async uninstall(): Promise<void> {
    this.close();
    await uninstall(this.#bpffs, this.#expedite);
  }

  #get(): Opened {
    if (!this.#opened) {
      throw new Error('the data path is not open');
    }
    return this.#opened;
  }
}
