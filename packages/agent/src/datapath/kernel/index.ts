/** The real data path: eBPF programs at tcx hooks, maps pinned in bpffs. Goes on without the agent once applied. */
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CounterReport } from '@mirrorplane/contract';
import type { ApplyResult, Datapath, DatapathState, HookCapture, Repair } from '../datapath.ts';
import { CounterReader } from './counters.ts';
import { Expedite } from './expedite.ts';
import { ensureHelper, removeHelper } from './helper-device.ts';
import { type Installation, install, removeFolder } from './install.ts';
import { BUDGET_SIZE, LAYOUT, VLAN_SET_SIZE } from './layout.ts';
import { BpfError, type BpfMap } from './libbpf.ts';
import { type Attachment, attachmentKey, Links } from './links.ts';
import { buildRows, type DatapathRows, transformAt } from './rows.ts';
import { Slots } from './slots.ts';
import { TableWriter } from './table-writer.ts';

export interface KernelDatapathOptions {
  /** Folder on a BPF file system that belongs to this node alone, as /sys/fs/bpf/mirrorplane. */
  bpffs: string;
  /** The object file of the programs. Default that of this release. */
  object?: string;
}

/** Milliseconds. */
const VERIFY_INTERVAL = 900;
const SLOT_LIMITS = { capture: 8192, delivery: 4096, termination: 8192 };

/** Makes the data path of this network namespace. Nothing is touched before open(). */
export function createKernelDatapath(options: KernelDatapathOptions): Datapath {
  return new KernelDatapath(options);
}

/** What is there only between open() and close(). */
interface Opened {
  installation: Installation;
  /** The links have the programs of this build: from the first apply on, when the maps are filled. */
  switched: boolean;
  links: Links;
  slots: Slots;
  helper: number;
  counters: CounterReader;
  tables: Record<Exclude<keyof DatapathRows, 'attachments'>, TableWriter>;
}

/** What attaching comes to. */
type Outcome = Pick<ApplyResult, 'attached' | 'begun' | 'refused' | 'repaired'>;

class KernelDatapath implements Datapath {
  readonly #bpffs: string;
  readonly #object: string | undefined;
  readonly #expedite: Expedite;
  #verifiedAt = 0;
  #opened: Opened | undefined;

  constructor({ bpffs, object }: KernelDatapathOptions) {
    this.#bpffs = bpffs;
    this.#object = object;
    this.#expedite = new Expedite(bpffs);
  }

  async open(): Promise<void> {
    if (this.#opened) return;
    this.#expedite.recover();
    const installation = install(this.#bpffs, this.#object);
    const { maps } = installation;
    const links = new Links(this.#bpffs);
    this.#expedite.during(() => links.open());
    const helper = await ensureHelper();
    const slots = new Slots(maps.slots, SLOT_LIMITS);
    const table = (map: BpfMap, key: number, value: number) => new TableWriter(map, key, value);
    this.#opened = {
      installation,
      switched: false,
      links,
      slots,
      helper,
      counters: new CounterReader(maps, slots, Slots.epoch(maps.slots)),
      tables: {
        captures: table(maps.captures, LAYOUT.capture_key.size, LAYOUT.capture.size),
        deliveries: table(maps.deliveries, 4, LAYOUT.delivery.size),
        terminations: table(maps.terminations, LAYOUT.termination_key.size, LAYOUT.termination.size),
        arrivalPorts: table(maps.arrival_ports, 4, 4),
        arrivals: table(maps.arrivals, LAYOUT.arrival_key.size, 4),
        hostAddresses: table(maps.host_addresses, LAYOUT.host_address.size, 4),
        physicalDevices: table(maps.physical_devices, 4, 4),
        copyVlans: table(maps.copy_vlans, 4, VLAN_SET_SIZE),
        budgets: table(maps.budgets, 4, BUDGET_SIZE),
      },
    };
  }

  async apply(desired: DatapathState): Promise<ApplyResult> {
    const opened = this.#get();
    const { slots, counters, tables, links } = opened;
    // The helper is there as long as the program hangs on it: asking that is cheaper than listing devices.
    const helper = links.attached(transformAt(opened.helper)) ? opened.helper : await ensureHelper();
    const remade: Repair[] = helper === opened.helper ? [] : [{ kind: 'helperGone', count: 1 }];
    opened.helper = helper;
    counters.remember(desired);
    const rows = buildRows(
      desired,
      (kind, id) => slots.take(kind, id, (slot) => counters.reset(kind, slot)),
      opened.helper,
    );
    const result: Outcome = { attached: 0, repaired: [...remade, ...this.#verify(rows)], begun: [], refused: [] };
    const kept = new Set<string>();

    // What is taken out of the arrivals is captured at its device again before anything that arrival needs goes.
    let written = tables.arrivals.removeOthers(rows.arrivals);
    // From the end of the path to its beginning, so that no copy meets a missing part; removal goes the other way.
    for (const name of [
      'copyVlans',
      'budgets',
      'physicalDevices',
      'hostAddresses',
      'deliveries',
      'terminations',
      'arrivalPorts',
      'captures',
    ] as const) {
      written += tables[name].write(rows[name]);
    }
    if (!opened.switched) {
      links.switchTo(opened.installation.programs);
      opened.installation.finish();
      opened.switched = true;
    }
    const attachAll = () => {
      for (const { attachment, capture } of rows.attachments) this.#attach(attachment, capture, kept, result);
    };
    if (rows.attachments.every(({ attachment }) => links.attached(attachment))) attachAll();
    else this.#expedite.during(attachAll);
    written += tables.arrivals.write(rows.arrivals);
    const detached = links.countOthers(kept) > 0 ? this.#expedite.during(() => links.detachOthers(kept)) : 0;
    for (const name of [
      'captures',
      'arrivalPorts',
      'terminations',
      'deliveries',
      'hostAddresses',
      'physicalDevices',
    ] as const) {
      written += tables[name].removeOthers(rows[name]);
    }
    slots.release(counters.named());
    return { ...result, detached, written };
  }

  /**
   * Looks for what others did to us, at most once in VERIFY_INTERVAL: pins that are gone, programs that were pushed
   * back. Puts it right, or takes it off so that it is attached anew, in front. Returns what it was. A program that was
   * taken off is found where it is attached again.
   */
  #verify({ attachments }: DatapathRows): Repair[] {
    const { links, installation, switched } = this.#get();
    if (!switched || performance.now() - this.#verifiedAt < VERIFY_INTERVAL) return [];
    this.#verifiedAt = performance.now();
    const back = attachments
      .map(({ attachment }) => attachment)
      .filter((attachment) => links.attached(attachment) && links.isPushedBack(attachment, installation.programIds));
    if (back.length > 0) this.#expedite.during(() => links.detach(back));
    const count = installation.restorePins() + links.restorePins();
    const unpinned: Repair[] = count > 0 ? [{ kind: 'unpinned', count }] : [];
    return [...back.map((attachment) => repairOf('pushedBack', attachment)), ...unpinned];
  }

  #attach(attachment: Attachment, capture: HookCapture | undefined, kept: Set<string>, result: Outcome): void {
    const { links, installation } = this.#get();
    try {
      if (!links.attached(attachment)) {
        const takenOff = links.wasTakenOff(attachment);
        links.attach(attachment, installation.programs.get(attachment.program)!);
        result.attached++;
        if (takenOff) result.repaired.push(repairOf('takenOff', attachment));
        else if (capture && !wasRepaired(attachment, result)) result.begun.push(capture.id);
      }
      kept.add(attachmentKey(attachment));
    } catch (error) {
      if (!capture || !(error instanceof BpfError)) throw error;
      const { id, ifindex } = capture;
      const gone = error.code === 'ENODEV';
      result.refused.push({ id, ifindex, code: 'ATTACH_FAILED', message: error.message, ...(gone && { gone }) });
    }
  }

  async counters(): Promise<CounterReport> {
    return this.#get().counters.read();
  }

  close(): void {
    this.#opened?.links.close();
    this.#opened?.installation.close();
    this.#opened = undefined;
  }

  async uninstall(): Promise<void> {
    const links = new Links(this.#bpffs);
    this.close();
    const names = listFolder(this.#bpffs);
    if (names.length > 0) {
      this.#expedite.recover();
      this.#expedite.during(() => {
        links.open();
        links.switchTo(new Map()); // without programs: every link is dropped
      });
      // Programs first: where they are, every map has to be.
      const programsFirst = names.toSorted((a, b) => Number(isPrograms(b)) - Number(isPrograms(a)));
      for (const name of programsFirst) removeFolder(join(this.#bpffs, name));
      rmdirSync(this.#bpffs);
    }
    await removeHelper();
  }

  #get(): Opened {
    if (!this.#opened) throw new Error('the data path is not open');
    return this.#opened;
  }
}

function repairOf(kind: 'takenOff' | 'pushedBack', { program, ifindex }: Attachment): Repair {
  return { kind, program, ifindex, count: 1 };
}

function wasRepaired({ program, ifindex }: Attachment, { repaired }: Outcome): boolean {
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
