/** The real data path: eBPF programs at the hooks of devices, maps pinned in bpffs. Goes on without the agent once applied. */
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CaptureCounts, CounterReport, HookKind } from '@mirrorplane/contract';
import type {
  ApplyOptions,
  ApplyResult,
  Datapath,
  DatapathState,
  DeviceBudget,
  NodeBudget,
  Repair,
} from '../datapath.ts';
import { CounterReader } from './counters.ts';
import { DeviceBudgets } from './device-budgets.ts';
import { Expedite } from './expedite.ts';
import { HelperDevice, type HelperState } from './helper-device.ts';
import { Holding } from './holding.ts';
import { type HookChoice, makeLinks } from './hook-kind.ts';
import { type Installation, install, isOurFolder, type Prepared, prepare, removeFolder } from './install.ts';
import { LAYOUT, VLAN_SET_SIZE } from './layout.ts';
import type { BpfMap } from './libbpf.ts';
import { type Attachment, attachmentKey, type Links } from './links.ts';
import { NodeBudgetWriter } from './node-budget.ts';
import {
  attachProblems,
  disputedBridges,
  disputes,
  fullTables,
  obstacles,
  overruledPorts,
  overruledProblems,
} from './problems.ts';
import { Rivals } from './rivals.ts';
import { arrivalRows, budgetKey, buildRows, type DatapathRows, type Placed } from './rows.ts';
import { type SlotKind, Slots } from './slots.ts';
import { standbyFlag } from './standby-flag.ts';
import { COUNTED, learned, type Shared, TableWriter } from './table-writer.ts';

export interface KernelDatapathOptions {
  /** Folder on a BPF file system that belongs to this node alone, as /sys/fs/bpf/mirrorplane. */
  bpffs: string;
  /** The object file of the programs. Default that of this release. */
  object?: string;
  /** How programs hang at hooks. Default auto. */
  hook?: HookChoice;
}

/** Milliseconds between two looks at what others did, at least. */
const VERIFY_INTERVAL = 400;
/** Tables of up to so many rows are read again at every look, others at every so many. */
const SMALL_TABLE = 256;
const LARGE_TABLE_TURN = 20;
/**
 * Senders of which no policy is left stay known up to this number: one that is away may go on sending, and what it sends
 * must not reach the stack.
 */
const MAX_PEERS = 4096;
const SLOT_LIMITS = { capture: 8192, delivery: 4096, termination: 8192, device: 1024 };

/** Makes the data path of this network namespace. Nothing is touched before open(). */
export function createKernelDatapath(options: KernelDatapathOptions): Datapath {
  return new KernelDatapath(options);
}

/** Written in this order; removed from in the other one. */
const WRITTEN = [
  'copyVlans',
  'budgets',
  'physicalDevices',
  'hostAddresses',
  'deliveries',
  'peers',
  'terminations',
  'arrivalPorts',
  'captures',
] as const;
const REMOVED = ['captures', 'arrivalPorts', 'terminations', 'deliveries', 'hostAddresses', 'physicalDevices'] as const;

/** A result in the making. */
type Progress = Omit<ApplyResult, 'detached' | 'written'>;

/** What is there only between open() and close(). */
interface Opened {
  installation: Installation;
  /** The links have the programs of this build: from the first apply on, when the maps are filled. */
  switched: boolean;
  links: Links;
  /** What an earlier agent may have left that used the other kind of hook. Undefined when it is gone. */
  others: Links | undefined;
  slots: Slots;
  helperDevice: HelperDevice;
  /** ifindex; 0: it cannot be made. */
  helper: number;
  /** ifindex of its other end. */
  peer: number;
  /** ifindex of the device over the helper device; 0: there is none. */
  segmenter: number;
  holding: Holding;
  rivals: Rivals;
  counters: CounterReader;
  devices: DeviceBudgets;
  node: NodeBudgetWriter;
  tables: Record<Exclude<keyof DatapathRows, 'attachments'>, TableWriter>;
}

class KernelDatapath implements Datapath {
  readonly #bpffs: string;
  readonly #object: string | undefined;
  readonly #hook: HookChoice;
  readonly #expedite: Expedite;
  #verifiedAt = 0;
  #verified = 0;
  #prepared: Prepared | undefined;
  #opened: Opened | undefined;

  constructor({ bpffs, object, hook = 'auto' }: KernelDatapathOptions) {
    this.#bpffs = bpffs;
    this.#object = object;
    this.#hook = hook;
    this.#expedite = new Expedite(bpffs);
  }

  async prepare(): Promise<{ installed: boolean }> {
    // What was installed a while ago may have been removed.
    if (this.#prepared?.object === undefined) this.#prepared = prepare(this.#bpffs, this.#object);
    return { installed: this.#prepared.object === undefined };
  }

  async open(): Promise<void> {
    if (this.#opened) return;
    const { links, others } = makeLinks(this.#hook, this.#bpffs);
    this.#expedite.recover();
    await this.prepare();
    const prepared = this.#prepared!;
    this.#prepared = undefined;
    const installation = install(this.#bpffs, prepared);
    const { maps } = installation;
    const helperDevice = new HelperDevice();
    let pair: HelperState;
    try {
      this.#expedite.during(() => links.open());
      pair = await helperDevice.ensure();
    } catch (error) {
      for (const part of [helperDevice, links, installation]) part.close();
      throw error;
    }
    const { ifindex: helper, peer, segmenter } = pair;
    const slots = new Slots(maps, SLOT_LIMITS);
    const table = (map: BpfMap, key: number, value: number, shared?: Shared) =>
      new TableWriter(map, key, value, shared);
    const budgets = table(maps.budget_rates, 4, LAYOUT.budget.size);
    this.#opened = {
      installation,
      switched: false,
      links,
      others,
      slots,
      helperDevice,
      helper,
      peer,
      segmenter,
      holding: new Holding(this.#bpffs, installation),
      rivals: new Rivals(),
      counters: new CounterReader(maps, slots, Slots.epoch(maps.slots)),
      devices: new DeviceBudgets(budgets, maps.budget_buckets, slots),
      node: new NodeBudgetWriter(budgets, maps.budget_buckets),
      tables: {
        captures: table(maps.captures, LAYOUT.capture_key.size, LAYOUT.capture.size, standbyFlag),
        deliveries: table(maps.deliveries, 4, LAYOUT.delivery.size),
        terminations: table(maps.terminations, LAYOUT.termination_key.size, LAYOUT.termination.size),
        peers: table(maps.peers, 4, LAYOUT.peer.size, COUNTED),
        arrivalPorts: table(maps.arrival_ports, 4, LAYOUT.arrival_port.size),
        arrivals: table(maps.arrivals, LAYOUT.arrival_key.size, 4, learned()),
        hostAddresses: table(maps.host_addresses, LAYOUT.host_address.size, 4),
        physicalDevices: table(maps.physical_devices, 4, 4),
        copyVlans: table(maps.copy_vlans, 4, VLAN_SET_SIZE),
        budgets,
      },
    };
  }

  async apply(desired: DatapathState, { look = true }: ApplyOptions = {}): Promise<ApplyResult> {
    const opened = this.#get();
    const { slots, counters, devices, node, tables, links } = opened;
    const result: Progress = { attached: 0, begun: [], repaired: [], refused: [], problems: [], held: [] };
    if (look || opened.helper === 0) await this.#keepHelper(result);
    counters.remember(desired);
    devices.remember(desired);
    node.remember(desired);
    const reset = (kind: SlotKind, slot: number) => {
      if (kind === 'device') return devices.reset(slot);
      counters.reset(kind, slot);
      if (kind === 'delivery') devices.refill(budgetKey(slot));
    };
    const take = (kind: SlotKind, id: string) => {
      const prepare = (slot: number) => reset(kind, slot);
      if (kind === 'device') return slots.take(kind, id, prepare);
      if (slots.lacksRoom(kind, id)) counters.makeRoom(kind);
      return slots.take(kind, id, prepare, counters.textOf(kind, id));
    };
    const holding = await this.#hold(desired, result);
    links.look();
    const overruled = overruledPorts(desired, links);
    const arrivalPorts = desired.arrivalPorts?.filter((port) => !overruled.includes(port));
    const rows = buildRows(
      { ...desired, arrivalPorts },
      { take, helper: opened.helper, segmenter: opened.segmenter, holding },
    );
    const now = performance.now();
    const pushedBack = look ? this.#verify(rows, result, now) : new Set<string>();
    const ours = opened.installation.programIds;
    const unwatched = new Set(
      disputedBridges(rows, (attachment) => {
        const disputed = opened.rivals.isDisputed(attachmentKey(attachment), now);
        return disputed || links.obstacle(attachment, ours) !== undefined;
      }),
    );
    const kept = new Set<string>();

    // What is taken out of the arrivals is captured at its device again before anything that arrival needs goes.
    let written = tables.arrivals.removeOthers(arrivalRows(desired, unwatched));
    const isNew = ({ attachment }: Placed) => !links.holds(attachment);
    const install = () => {
      // From the end of the path to its beginning, so that no copy meets a missing part; removal goes the other way.
      const [path, others] = partition(rows.attachments, ({ capture, bridge }) => !capture && bridge === undefined);
      const attach = (placed: Placed) => this.#attach(placed, desired, kept, result, pushedBack);
      for (const placed of path) attach(placed);
      // Only now: the node's budget may have been set since the rows were built.
      rows.budgets.set(...node.row());
      for (const name of WRITTEN) written += tables[name].write(rows[name]);
      this.#switch();
      // What is new first: asking after a link that is there takes the rtnl lock, as attaching does.
      const [fresh, known] = partition(others, isNew);
      for (const placed of [...fresh, ...known]) {
        if (!attach(placed) && placed.bridge !== undefined) unwatched.add(placed.bridge);
      }
    };
    const inPlace = ({ attachment }: Placed) =>
      links.attached(attachment) && !pushedBack.has(attachmentKey(attachment));
    if (!rows.attachments.some(isNew) && rows.attachments.every(inPlace)) install();
    else this.#expedite.during(install);
    const arrivals = arrivalRows(desired, unwatched);
    written += tables.arrivals.removeOthers(arrivals) + tables.arrivals.write(arrivals);
    const detached = links.countOthers(kept) > 0 ? this.#expedite.during(() => links.detachOthers(kept)) : 0;
    for (const name of REMOVED) written += tables[name].removeOthers(rows[name]);
    // What found no room may have some now.
    for (const name of WRITTEN.filter((one) => tables[one].lacksRoom > 0)) written += tables[name].write(rows[name]);
    result.problems.push(...fullTables(tables));
    if (tables.peers.size > MAX_PEERS) written += tables.peers.removeOthers(rows.peers);
    counters.applied();
    result.held = await opened.holding.end(desired);
    slots.release({ ...counters.named(), device: devices.named() });
    result.problems.push(...disputes(rows, desired, opened.rivals, now));
    result.problems.push(...obstacles(rows, desired, links, ours));
    result.problems.push(...overruledProblems(overruled, desired));
    return { ...result, detached, written };
  }

  /** Where copies cannot be held, what a migrating destination has not read when it leaves is lost. */
  async #hold(desired: DatapathState, { problems }: Progress): Promise<boolean> {
    const { holding, helper, peer } = this.#get();
    try {
      return await holding.begin(desired, helper === 0 ? 0 : peer);
    } catch (error) {
      const message = `copies for a guest that is about to leave cannot be held: ${messageOf(error)}`;
      problems.push({ code: 'ATTACH_FAILED', message });
      return false;
    }
  }

  /** Without the helper device, copies that have to be changed are dropped as `destinationDown`, and local ones go on. */
  async #keepHelper(result: Progress): Promise<void> {
    const opened = this.#get();
    try {
      const { ifindex, peer, segmenter, repair } = await opened.helperDevice.ensure();
      opened.helper = ifindex;
      opened.peer = peer;
      opened.segmenter = segmenter;
      if (repair) result.repaired.push(repair);
    } catch (error) {
      opened.helper = 0;
      opened.segmenter = 0;
      result.problems.push({ code: 'ATTACH_FAILED', message: messageOf(error) });
    }
  }

  /**
   * Looks for what others did to us, at most once in VERIFY_INTERVAL: pins that are gone, maps that were written, programs
   * that were pushed back. Puts pins and maps right, and returns the keys of what has to be attached anew, in front. A
   * program that was taken off is found where it is attached again.
   */
  #verify({ attachments }: DatapathRows, result: Progress, now: number): ReadonlySet<string> {
    const { links, installation, rivals, tables, switched } = this.#get();
    if (!switched || now - this.#verifiedAt < VERIFY_INTERVAL) return new Set();
    this.#verifiedAt = now;
    this.#verified++;
    const back = attachments
      .map(({ attachment }) => attachment)
      .filter((attachment) => links.attached(attachment) && links.isPushedBack(attachment, installation.programIds))
      .filter((attachment) => rivals.behind(attachmentKey(attachment), now));
    result.repaired.push(...back.map((attachment) => repairOf('pushedBack', attachment)));
    let rewritten = 0;
    for (const table of Object.values(tables)) {
      const due = table.size <= SMALL_TABLE || this.#verified % LARGE_TABLE_TURN === 0;
      if (due) rewritten += table.reread();
    }
    if (rewritten > 0) result.repaired.push({ kind: 'mapWritten', count: rewritten });
    try {
      const unpinned = installation.restorePins() + links.restorePins();
      if (unpinned > 0) result.repaired.push({ kind: 'unpinned', count: unpinned });
    } catch (error) {
      const message = `what the agent keeps in ${this.#bpffs} cannot be put back: ${messageOf(error)}`;
      result.problems.push({ code: 'ATTACH_FAILED', message });
    }
    return new Set(back.map(attachmentKey));
  }

  /** Gives the links of another build the programs of this one, now that the maps are filled. */
  #switch(): void {
    const opened = this.#get();
    if (opened.switched) return;
    opened.links.switchTo(opened.installation.programs);
    // Right before ours are attached in the other way: with both, packets would be copied twice.
    opened.others?.open();
    opened.others?.switchTo(new Map()); // without programs: all are dropped
    opened.others?.close();
    opened.others = undefined;
    opened.installation.finish();
    opened.switched = true;
  }

  /** Attaches a program where it is not. A failure concerns what needs this program, and nothing else. */
  #attach(
    placed: Placed,
    state: DatapathState,
    kept: Set<string>,
    result: Progress,
    pushedBack: ReadonlySet<string>,
  ): boolean {
    const { attachment, capture } = placed;
    const { links, installation } = this.#get();
    try {
      if (!links.attached(attachment) || pushedBack.has(attachmentKey(attachment))) {
        // Off and on again without anything in between: what passes meanwhile is missed.
        const takenOff = links.wasTakenOff(attachment);
        links.attach(attachment, installation.programs.get(attachment.program)!);
        result.attached++;
        if (takenOff) result.repaired.push(repairOf('takenOff', attachment));
        else if (capture && !wasRepaired(attachment, result)) {
          result.begun.push(capture.id);
          result.begunAt = performance.now();
        }
      }
      kept.add(attachmentKey(attachment));
      return true;
    } catch (error) {
      const { message, code: cause } = error as Error & { code?: string };
      const gone = cause === 'ENODEV';
      const code = cause === 'HOOK_OCCUPIED' ? cause : 'ATTACH_FAILED';
      if (capture) {
        const { id, ifindex } = capture;
        result.refused.push({ id, ifindex, code, message, ...(gone && { gone }) });
      } else if (!gone) {
        // A device that went needs nothing any more; who names it will hear of that too.
        result.problems.push(...attachProblems(placed, state, code, message));
      }
      return false;
    }
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

  async setDeviceBudgets(rates: ReadonlyMap<number, number>): Promise<void> {
    this.#get().devices.set(rates);
  }

  async nodeBudget(): Promise<NodeBudget> {
    return this.#get().node.read();
  }

  async setNodeBudget(rate: number): Promise<void> {
    this.#get().node.set(rate);
  }

  close(): void {
    this.#opened?.helperDevice.close();
    this.#opened?.holding.close();
    this.#opened?.links.close();
    this.#opened?.installation.close();
    this.#opened = undefined;
    this.#prepared?.object?.close();
    this.#prepared = undefined;
  }

  async uninstall(): Promise<void> {
    const { links, others } = makeLinks('auto', this.#bpffs);
    this.close();
    const names = listFolder(this.#bpffs);
    const ours = names.filter(isOurFolder);
    const remove = () => {
      for (const kind of [links, others]) {
        kind.open();
        kind.removeAll();
        kind.close();
      }
    };
    // Filters may be there also where someone has unmounted the file system of our pins.
    if (ours.length === 0) remove();
    else {
      this.#expedite.recover();
      this.#expedite.during(remove);
      // Programs first: where they are, every map has to be.
      const programsFirst = ours.toSorted((a, b) => Number(isPrograms(b)) - Number(isPrograms(a)));
      for (const name of programsFirst) removeFolder(join(this.#bpffs, name));
    }
    // Something that is not ours may lie there.
    if (names.length > 0 && listFolder(this.#bpffs).length === 0) rmdirSync(this.#bpffs);
    const helper = new HelperDevice();
    await helper.remove().finally(() => helper.close());
  }

  #get(): Opened {
    if (!this.#opened) throw new Error('the data path is not open');
    return this.#opened;
  }
}

function repairOf(kind: 'takenOff' | 'pushedBack', { program, ifindex }: Attachment): Repair {
  return { kind, program, ifindex, count: 1 };
}

function wasRepaired({ program, ifindex }: Attachment, { repaired }: Progress): boolean {
  return repaired.some((repair) => repair.program === program && repair.ifindex === ifindex);
}

function isPrograms(name: string): boolean {
  return name.startsWith('programs-');
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
