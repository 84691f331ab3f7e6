/**
 * Holds copies for guests that are about to leave. They stay until they are read, or are relayed to
 * the target node.
 */
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatapathState, HeldCounts, LocalDeliveryEntry } from '../datapath.ts';
import { HoldQueue } from './hold-queue.ts';
import { type Installation, READER_PIN } from './install.ts';
import { decodeHoldCounts, encodeHold, LAYOUT, u32Key } from './layout.ts';
import { attachTracing, closeFd, getPinned, pin, programId, programOfLink } from './libbpf.ts';
import { COUNTED, type Rows, TableWriter } from './table-writer.ts';

/** The longest time for released copies to leave the queue, milliseconds. */
const RELEASE_LIMIT_MS = 300;
/** Milliseconds between two checks of the queue. */
const LOOK_INTERVAL_MS = 2;

type HandoverEntry = LocalDeliveryEntry & { handover: NonNullable<LocalDeliveryEntry['handover']> };

/** Deliveries into devices whose guests are about to leave. */
export function handoversOf({ deliveries }: DatapathState): HandoverEntry[] {
  return deliveries.filter(
    (delivery): delivery is HandoverEntry => delivery.kind === 'local' && delivery.handover !== undefined,
  );
}

function isReleased(row: Buffer): boolean {
  return row.readUInt32LE(LAYOUT.hold.fields.released) !== 0;
}

export class Holding {
  readonly #pin: string;
  readonly #installation: Installation;
  readonly #holds: TableWriter;
  readonly #counts: TableWriter;
  readonly #queue = new HoldQueue();
  readonly #netns = statSync('/proc/self/ns/net').ino;
  /** The interface of each held tap, and the deliveries into it. */
  readonly #known = new Map<string, { interface: string; node: string; deliveries: Set<string> }>();
  #device = 0;
  /** Queue and reader may exist already, left by a killed agent. */
  #used = true;
  /** Taps whose copies have been released from the queue. */
  readonly #released = new Set<string>();

  constructor(bpffs: string, installation: Installation) {
    this.#pin = join(bpffs, READER_PIN);
    this.#installation = installation;
    const { holds, hold_counts } = installation.maps;
    this.#holds = new TableWriter(holds, 4, LAYOUT.hold.size);
    this.#counts = new TableWriter(hold_counts, 4, LAYOUT.hold_counts.size, COUNTED);
  }

  /**
   * Before rows are written: makes queue and reader if copies must be held, and releases copies of
   * guests that have left.
   * @param device ifindex of the peer of the helper device
   * @returns whether captures and terminations may hold
   * @throws Error if copies must be held, but cannot be
   */
  async begin(state: DatapathState, device: number): Promise<boolean> {
    const handovers = handoversOf(state);
    const rows = this.#rows(handovers, device);
    await this.#drainEnding(rows);
    this.#device = device;
    if (rows.size === 0) {
      return false;
    }
    this.#used = true;
    if (device === 0) {
      throw new Error('there is no helper device');
    }
    this.#attachReader(this.#installation.reader);
    await this.#queue.ensure(device);
    for (const { id, ifindex, handover } of handovers) {
      if (ifindex === 0) {
        continue;
      }
      const key = u32Key(ifindex).toString('hex');
      const deliveries = this.#known.get(key)?.deliveries ?? new Set();
      this.#known.set(key, { interface: handover.interface, node: handover.target, deliveries: deliveries.add(id) });
    }
    this.#counts.write(new Map([...rows.keys()].map((key) => [key, Buffer.alloc(LAYOUT.hold_counts.size)])));
    this.#holds.write(rows);
    return true;
  }

  /**
   * After rows are written. Returns the counts of each guest that has left and needs no holding any
   * longer.
   */
  async end(state: DatapathState): Promise<HeldCounts[]> {
    const rows = this.#rows(handoversOf(state), this.#device);
    await this.#release([...rows].filter(([, row]) => isReleased(row)).map(([key]) => key));
    const ended = [...this.#holds.keys()].filter((key) => !rows.has(key));
    const left = ended.filter((key) => isReleased(this.#holds.get(Buffer.from(key, 'hex'))!));
    const results = left.flatMap((key): HeldCounts[] => {
      const counts = Buffer.alloc(LAYOUT.hold_counts.size);
      const known = this.#known.get(key);
      const found = this.#installation.maps.hold_counts.lookup(Buffer.from(key, 'hex'), counts);
      return found && known ? [{ interface: known.interface, node: known.node, ...decodeHoldCounts(counts) }] : [];
    });
    for (const key of ended) {
      this.#known.delete(key);
      this.#released.delete(key);
    }
    this.#holds.removeOthers(rows);
    this.#counts.removeOthers(rows);
    if (rows.size === 0 && this.#used) {
      await this.#tidy();
    }
    return results;
  }

  close(): void {
    this.#queue.close();
  }

  /**
   * Rows by tap. A tap whose device is gone stays, as released, while one of its deliveries has a
   * node to relay to.
   */
  #rows(handovers: readonly HandoverEntry[], device: number): Rows {
    const rows = new Map<string, Buffer>();
    for (const {
      ifindex,
      handover: { released },
    } of handovers) {
      if (ifindex !== 0) {
        rows.set(u32Key(ifindex).toString('hex'), encodeHold(device, released, this.#netns));
      }
    }
    const gone = new Set(
      handovers.filter(({ ifindex, handover: { released } }) => ifindex === 0 && released).map(({ id }) => id),
    );
    for (const key of gone.size > 0 ? this.#holds.keys() : []) {
      const known = this.#known.get(key);
      // An agent that has just started does not know the deliveries of a tap.
      const concerned = known === undefined || [...known.deliveries].some((id) => gone.has(id));
      if (!rows.has(key) && concerned) {
        rows.set(key, encodeHold(device, true, this.#netns));
      }
    }
    return rows;
  }

  /** Released copies must have left the queue before their paths are changed. */
  async #drainEnding(rows: Rows): Promise<void> {
    const ending = [...this.#holds.keys()].filter(
      (key) => !rows.has(key) && isReleased(this.#holds.get(Buffer.from(key, 'hex'))!),
    );
    if (ending.length > 0) {
      await this.#drain();
    }
  }

  /**
   * Releases, once, the copies that wait for a guest that has left. No more copies are held for it.
   */
  async #release(keys: readonly string[]): Promise<void> {
    if (keys.every((key) => this.#released.has(key))) {
      return;
    }
    await this.#queue.setRate(this.#device, 'releasing');
    await this.#drain();
    // Copies may still be held for other guests. At the full rate they would circulate without a
    // pause.
    await this.#queue.setRate(this.#device, 'holding');
    for (const key of keys) {
      this.#released.add(key);
    }
  }

  async #drain(): Promise<void> {
    const deadline = performance.now() + RELEASE_LIMIT_MS;
    while ((await this.#queue.length(this.#device)) > 0 && performance.now() < deadline) {
      await sleep(LOOK_INTERVAL_MS);
    }
  }

  /** The link is pinned, so that reads are also counted while no agent runs. */
  #attachReader(program: number): void {
    const pinned = getPinned(this.#pin);
    if (pinned !== undefined) {
      const current = programOfLink(pinned) === programId(program);
      closeFd(pinned);
      if (current) {
        return;
      }
      rmSync(this.#pin, { force: true });
    }
    const link = attachTracing(program);
    try {
      pin(link, this.#pin);
    } finally {
      closeFd(link);
    }
  }

  async #tidy(): Promise<void> {
    if (existsSync(this.#pin)) {
      rmSync(this.#pin);
    }
    if (this.#device !== 0) {
      await this.#queue.remove(this.#device);
    }
    this.#used = false;
  }
}
