/** The real data path: eBPF programs at tcx hooks, maps pinned in bpffs. Goes on without the agent once applied. */
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CounterReport } from '@mirrorplane/contract';
import type { ApplyResult, CaptureRefusal, Datapath, DatapathState, HookCapture } from '../datapath.ts';
import { CounterReader } from './counters.ts';
import { ensureHelper, removeHelper } from './helper-device.ts';
import { type Installation, install, removeFolder, removeOldPrograms } from './install.ts';
import {
  encodeCapture,
  encodeCaptureKey,
  encodeDelivery,
  encodeTermination,
  encodeTerminationKey,
  LAYOUT,
  u32Key,
} from './layout.ts';
import { BpfError } from './libbpf.ts';
import { type Attachment, attachmentKey, Links, PROGRAMS } from './links.ts';
import { Slots } from './slots.ts';
import { TableWriter } from './table-writer.ts';

export interface KernelDatapathOptions {
  /** Folder on a BPF file system that belongs to this node alone, as /sys/fs/bpf/mirrorplane. */
  bpffs: string;
}

const SLOT_LIMITS = { capture: 8192, delivery: 4096, termination: 8192 };

/** Makes the data path of this network namespace. Nothing is touched before open(). */
export function createKernelDatapath(options: KernelDatapathOptions): Datapath {
  return new KernelDatapath(options.bpffs);
}

/** What is there only between open() and close(). */
interface Opened {
  installation: Installation;
  links: Links;
  slots: Slots;
  helper: number;
  counters: CounterReader;
  captures: TableWriter;
  deliveries: TableWriter;
  terminations: TableWriter;
}

class KernelDatapath implements Datapath {
  readonly #bpffs: string;
  #opened: Opened | undefined;

  constructor(bpffs: string) {
    this.#bpffs = bpffs;
  }

  async open(): Promise<void> {
    if (this.#opened) return;
    const installation = install(this.#bpffs, {});
    const { maps, programs } = installation;
    const links = new Links(this.#bpffs);
    links.open(programs);
    removeOldPrograms(this.#bpffs);
    const helper = await ensureHelper();
    const slots = new Slots(maps.slots, SLOT_LIMITS);
    this.#opened = {
      installation,
      links,
      slots,
      helper,
      counters: new CounterReader(maps, slots, Slots.epoch(maps.slots)),
      captures: new TableWriter(maps.captures, LAYOUT.capture_key.size, LAYOUT.capture.size),
      deliveries: new TableWriter(maps.deliveries, 4, LAYOUT.delivery.size),
      terminations: new TableWriter(maps.terminations, LAYOUT.termination_key.size, LAYOUT.termination.size),
    };
  }

  async apply(desired: DatapathState): Promise<ApplyResult> {
    const opened = this.#get();
    opened.helper = await ensureHelper();
    const { slots, counters, captures, deliveries, terminations } = opened;
    const deliveryOf = new Map(desired.deliveries.map((delivery) => [delivery.id, delivery]));
    counters.remember(desired);

    const deliveryRows = new Map<string, Buffer>();
    for (const delivery of desired.deliveries) {
      const { slot, isNew } = slots.take('delivery', delivery.id);
      if (isNew) counters.reset('delivery', slot);
      deliveryRows.set(u32Key(slot).toString('hex'), encodeDelivery(delivery, slot));
    }
    const terminationRows = new Map<string, Buffer>();
    for (const termination of desired.terminations) {
      const delivery = deliveryOf.get(termination.delivery);
      if (!delivery)
        throw new Error(`termination ${termination.id} names delivery ${termination.delivery}, which is absent`);
      const { slot, isNew } = slots.take('termination', termination.id);
      if (isNew) counters.reset('termination', slot);
      const key = encodeTerminationKey(termination.address, termination.session);
      terminationRows.set(key.toString('hex'), encodeTermination(delivery, slot));
    }
    const captureRows = new Map<string, Buffer>();
    const attachments: { attachment: Attachment; capture: HookCapture | undefined }[] = [];
    for (const capture of desired.captures) {
      if (!deliveryOf.has(capture.delivery)) {
        throw new Error(`capture ${capture.id} names delivery ${capture.delivery}, which is absent`);
      }
      if (capture.ifindex === 0) continue;
      const { slot, isNew } = slots.take('capture', capture.id);
      if (isNew) counters.reset('capture', slot);
      captureRows.set(
        encodeCaptureKey(capture.ifindex, capture.hook).toString('hex'),
        this.#captureRow(capture, slot, deliveryOf),
      );
      const program = capture.hook === 'ingress' ? PROGRAMS.captureIngress : PROGRAMS.captureEgress;
      attachments.push({ attachment: { ifindex: capture.ifindex, hook: capture.hook, program }, capture });
    }

    // From the end of the path to its beginning, so that no copy meets a missing part; removal goes the other way.
    let written = deliveries.write(deliveryRows) + terminations.write(terminationRows);
    const attached = { count: 0, refused: [] as CaptureRefusal[] };
    const kept = new Set<string>();
    this.#attach({ ifindex: opened.helper, hook: 'egress', program: PROGRAMS.transform }, undefined, kept, attached);
    if (desired.mirrorDevice !== 0) {
      const terminate: Attachment = { ifindex: desired.mirrorDevice, hook: 'ingress', program: PROGRAMS.terminate };
      this.#attach(terminate, undefined, kept, attached);
    }
    written += captures.write(captureRows);
    for (const { attachment, capture } of attachments) this.#attach(attachment, capture, kept, attached);
    const detached = opened.links.detachOthers(kept);
    written += captures.removeOthers(captureRows);
    written += terminations.removeOthers(terminationRows) + deliveries.removeOthers(deliveryRows);
    slots.release(counters.named());
    return { refused: attached.refused, attached: attached.count, detached, written };
  }

  #captureRow(
    capture: HookCapture,
    slot: number,
    deliveryOf: ReadonlyMap<string, DatapathState['deliveries'][number]>,
  ): Buffer {
    const { slots, helper } = this.#get();
    const delivery = deliveryOf.get(capture.delivery)!;
    // A local delivery changes nothing in the packet, so it does without the helper device.
    const direct = delivery.kind === 'local' && delivery.ifindex !== 0;
    return encodeCapture({
      threshold: capture.threshold,
      slot,
      delivery: slots.find('delivery', delivery.id)!,
      outIfindex: direct ? delivery.ifindex : helper,
      directMtu: direct ? delivery.mtu : 0,
      erspanIndex: (capture.sourceSlot << 1) | (capture.direction === 'outbound' ? 1 : 0),
      skipVlanId: capture.skipVlanId,
    });
  }

  #attach(
    attachment: Attachment,
    capture: HookCapture | undefined,
    kept: Set<string>,
    result: { count: number; refused: CaptureRefusal[] },
  ): void {
    const { links, installation } = this.#get();
    try {
      if (!links.attached(attachment)) {
        links.attach(attachment, installation.programs.get(attachment.program)!);
        result.count++;
      }
      kept.add(attachmentKey(attachment));
    } catch (error) {
      if (!capture || !(error instanceof BpfError)) throw error;
      result.refused.push({ id: capture.id, ifindex: capture.ifindex, code: 'ATTACH_FAILED', message: error.message });
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
      links.open(new Map()); // without programs: every link is dropped
      links.detachOthers(new Set());
      for (const name of names) removeFolder(join(this.#bpffs, name));
      rmdirSync(this.#bpffs);
    }
    await removeHelper();
  }

  #get(): Opened {
    if (!this.#opened) throw new Error('the data path is not open');
    return this.#opened;
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
