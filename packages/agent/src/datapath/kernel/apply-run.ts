/**
 * One apply. Terminations whose number is over end first, so that no copy with it meets a delivery
 * of now. Then parts are added from the end of the path to its beginning, so that no copy meets a
 * missing part. Removal has the opposite order.
 */
import type { ApplyOptions, ApplyResult, DatapathState } from '../datapath.ts';
import { AttachRun } from './attach-run.ts';
import { endedNumbers } from './ended-numbers.ts';
import type { Expedite } from './expedite.ts';
import type { Attachment } from './links.ts';
import { lookGaps } from './look-gaps.ts';
import { type Opened, switchPrograms } from './opened.ts';
import { openedRows } from './opened-rows.ts';
import { disputedBridges, disputes, fullTables, obstacles } from './problems.ts';
import { isDeliveryChanged, newDeliveries, rewiredCaptures } from './rewired.ts';
import { arrivalRows, type DatapathRows } from './rows.ts';

/**
 * Senders without a policy stay in the map up to this number. An absent sender may continue to
 * send, and its packets must not reach the network stack.
 */
const MAX_PEERS = 4096;

/** Order of writing, and below it the order of removal. */
const WRITTEN = [
  'copyMacs',
  'copyVlans',
  'budgets',
  'physicalDevices',
  'hostAddresses',
  'destinations',
  'deliveries',
  // Behind both: what CPUs note from then on is noted by the new rows.
  'place',
  'peers',
  'terminations',
  'arrivalPorts',
  'captures',
  'lookGuests',
  'lookHooks',
  'looks',
] as const;
const REMOVED = [
  'looks',
  'lookHooks',
  'lookGuests',
  'captures',
  'arrivalPorts',
  'terminations',
  'deliveries',
  'destinations',
  'hostAddresses',
  'physicalDevices',
  'copyMacs',
] as const;

/** Lives for one apply, and holds the data that its phases share. */
export class ApplyRun {
  readonly #opened: Opened;
  readonly #expedite: Expedite;
  readonly #desired: DatapathState;
  readonly #look: boolean;
  readonly #result: ApplyResult = {
    attached: 0,
    detached: 0,
    written: 0,
    begun: [],
    repaired: [],
    refused: [],
    problems: [],
    held: [],
    unseen: [],
  };
  readonly #attaching: AttachRun;
  /** ifindexes of bridges where not every entry is captured. */
  #unwatched = new Set<number>();

  constructor(opened: Opened, expedite: Expedite, desired: DatapathState, { look = true }: ApplyOptions) {
    this.#opened = opened;
    this.#expedite = expedite;
    this.#desired = desired;
    this.#look = look;
    this.#attaching = new AttachRun(opened, desired, this.#result);
  }

  /**
   * Applies the state. @throws Error if the kernel refuses a part that everything needs; the
   * previous state then stays in force
   */
  async run(): Promise<ApplyResult> {
    const { links, counters, holding } = this.#opened;
    if (this.#look || this.#opened.helper === 0) {
      await this.#keepHelper();
    }
    this.#remember();
    const canHold = await this.#beginHolding();
    // From here to the end of holding nothing is awaited, so that all reads of the kernel belong to
    // one moment.
    links.look();
    if (this.#look) {
      links.doubt();
    }
    const rows = openedRows(this.#opened, this.#desired, canHold);
    const now = performance.now();
    this.#lookAround(rows, now);
    this.#hear();
    this.#install(rows);
    this.#fillArrivals();
    this.#attaching.noteArriving(this.#unwatched);
    this.#remove(rows);
    counters.applied();
    this.#result.held = await holding.end(this.#desired);
    this.#release();
    this.#tellProblems(rows, now);
    this.#opened.interference.settled(
      rows.attachments.map(({ attachment }) => attachment),
      this.#isWhole(),
    );
    return this.#result;
  }

  /** Whether all is as it should be, and nothing of it had to be repaired. */
  #isWhole(): boolean {
    const { refused, problems, repaired, unseen } = this.#result;
    return this.#opened.switched && [refused, problems, repaired, unseen].every(({ length }) => length === 0);
  }

  #remember(): void {
    const { counters, devices, node } = this.#opened;
    counters.remember(this.#desired);
    devices.remember(this.#desired);
    node.remember(this.#desired);
  }

  /**
   * Without the helper device, copies that must be changed are dropped as `destinationDown`.
   * Unchanged local copies still work.
   */
  async #keepHelper(): Promise<void> {
    const opened = this.#opened;
    try {
      const { ifindex, peer, segmenter, repair } = await opened.helperDevice.ensure();
      opened.helper = ifindex;
      opened.peer = peer;
      opened.segmenter = segmenter;
      if (repair) {
        this.#result.repaired.push(repair);
      }
    } catch (error) {
      opened.helper = 0;
      opened.segmenter = 0;
      this.#result.problems.push({ code: 'ATTACH_FAILED', message: messageOf(error) });
    }
  }

  /**
   * If copies cannot be held, those that a migrating destination has not read when it leaves are
   * lost.
   */
  async #beginHolding(): Promise<boolean> {
    const { holding, helper, peer } = this.#opened;
    try {
      return await holding.begin(this.#desired, helper === 0 ? 0 : peer);
    } catch (error) {
      const message = `copies for a guest that is about to migrate cannot be held: ${messageOf(error)}`;
      this.#result.problems.push({ code: 'ATTACH_FAILED', message });
      return false;
    }
  }

  /** Before looks see anything: no drop of what they see is missed. */
  #hear(): void {
    const { looks, netns, helper, peer, segmenter } = this.#opened;
    const unheard = looks.hear(this.#desired.looks ?? [], { netns, own: [helper, peer, segmenter] });
    if (unheard !== undefined) {
      this.#result.unheard = unheard;
    }
  }

  /** Looks for interference, and for bridges where foreign programs hide packets. */
  #lookAround({ attachments }: DatapathRows, now: number): void {
    const { interference, links, installation, switched } = this.#opened;
    if (this.#look && switched) {
      const placed = attachments.map(({ attachment }) => attachment);
      const { pushedBack, repaired, problems } = interference.look(placed, now);
      this.#attaching.pushedBack = pushedBack;
      this.#result.repaired.push(...repaired);
      this.#result.problems.push(...problems);
    }
    const isBehind = (attachment: Attachment) =>
      interference.isDisputed(attachment, now) || links.obstacle(attachment, installation.programIds) !== undefined;
    this.#unwatched = new Set(disputedBridges(attachments, isBehind));
  }

  /** Attaches programs and fills maps. */
  #install(rows: DatapathRows): void {
    const { tables } = this.#opened;
    const attaching = this.#attaching;
    this.#result.written += tables.terminations.removeIf(endedNumbers(rows.terminations));
    // A removed arrival is captured at its device again, before the parts that arrivals need are
    // removed.
    this.#result.written += tables.arrivals.removeOthers(arrivalRows(this.#desired, this.#unwatched));
    const { attachments } = rows;
    const isNew = attachments.some((placed) => attaching.isNew(placed));
    if (!isNew && attachments.every((placed) => attaching.isInPlace(placed))) {
      this.#attachAll(rows);
    } else {
      this.#expedite.during(() => this.#attachAll(rows));
    }
  }

  #attachAll(rows: DatapathRows): void {
    const [path, others] = partition(
      rows.attachments,
      ({ capture, bridge, looks }) => !capture && bridge === undefined && !looks,
    );
    for (const placed of path) {
      this.#attaching.attach(placed);
    }
    // The node's budget is added here, because it may have been set since the rows were built.
    rows.budgets.set(...this.#opened.node.row());
    for (const name of WRITTEN) {
      if (name === 'deliveries') {
        this.#rewire(rows);
      }
      this.#result.written += this.#opened.tables[name].write(rows[name]);
    }
    switchPrograms(this.#opened);
    // New links first: a query of an existing link takes the rtnl lock, as attaching does.
    const [fresh, known] = partition(others, (placed) => this.#attaching.isNew(placed));
    for (const placed of [...fresh, ...known]) {
      if (!this.#attaching.attach(placed) && placed.bridge !== undefined) {
        this.#unwatched.add(placed.bridge);
      }
    }
  }

  /** Captures leave deliveries that are about to change, as far as the ones that they get are there. */
  #rewire(rows: DatapathRows): void {
    const { tables } = this.#opened;
    if (isDeliveryChanged(tables, rows)) {
      this.#result.written += tables.deliveries.write(newDeliveries(tables, rows));
      this.#result.written += tables.captures.write(rewiredCaptures(tables, rows));
    }
  }

  #fillArrivals(): void {
    const { arrivals } = this.#opened.tables;
    const rows = arrivalRows(this.#desired, this.#unwatched);
    this.#result.written += arrivals.removeOthers(rows) + arrivals.write(rows);
  }

  /** Detaches and removes everything that the state no longer has. */
  #remove(rows: DatapathRows): void {
    const { links, tables } = this.#opened;
    const { kept } = this.#attaching;
    if (links.countOthers(kept) > 0) {
      this.#result.detached = this.#expedite.during(() => links.detachOthers(kept));
    }
    for (const name of REMOVED) {
      this.#result.written += tables[name].removeOthers(rows[name]);
    }
    // Rows that had no room may have room now.
    for (const name of WRITTEN.filter((one) => tables[one].lacksRoom > 0)) {
      this.#result.written += tables[name].write(rows[name]);
    }
    this.#result.problems.push(...fullTables(tables));
    if (tables.peers.size > MAX_PEERS) {
      this.#result.written += tables.peers.removeOthers(rows.peers);
    }
  }

  /** Frees the slots of parts that have left and whose last counts are saved. */
  #release(): void {
    const { slots, counters, devices } = this.#opened;
    slots.release({ ...counters.named(), device: devices.named() });
  }

  #tellProblems({ attachments }: DatapathRows, now: number): void {
    const { links, installation, interference } = this.#opened;
    const isDisputed = (attachment: Attachment) => interference.isDisputed(attachment, now);
    const [looking, others] = partition(attachments, ({ looks }) => looks !== undefined);
    this.#result.problems.push(
      ...disputes(others, this.#desired, isDisputed),
      ...obstacles(others, this.#desired, links, installation.programIds),
    );
    this.#result.unseen.push(...lookGaps(looking, { isDisputed, links, ours: installation.programIds }));
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
