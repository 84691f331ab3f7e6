/**
 * One apply. Parts are added from the end of the path to its beginning, so that no copy meets a
 * missing part. Removal has the opposite order.
 */
import type { ApplyOptions, ApplyResult, DatapathState } from '../datapath.ts';
import type { Expedite } from './expedite.ts';
import { sendingDestinations } from './feedback-watch.ts';
import { repairOf } from './interference.ts';
import { type Attachment, attachmentKey } from './links.ts';
import type { Opened } from './opened.ts';
import { attachProblems, disputedBridges, disputes, fullTables, obstacles, overruledPorts } from './problems.ts';
import { arrivalRows, budgetKey, buildRows, type DatapathRows, type Placed } from './rows.ts';
import type { SlotKind } from './slots.ts';

/**
 * Senders without a policy stay in the map up to this number. An absent sender may continue to
 * send, and its packets must not reach the network stack.
 */
const MAX_PEERS = 4096;

/** Order of writing, and below it the order of removal. */
const WRITTEN = [
  'place',
  'copyVlans',
  'budgets',
  'physicalDevices',
  'hostAddresses',
  'destinations',
  'deliveries',
  'peers',
  'terminations',
  'arrivalPorts',
  'captures',
] as const;
const REMOVED = [
  'captures',
  'arrivalPorts',
  'terminations',
  'deliveries',
  'destinations',
  'hostAddresses',
  'physicalDevices',
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
  };
  /** Keys of attached programs that belong to the state. */
  readonly #kept = new Set<string>();
  /** Keys of programs that must be attached again, in front of the others. */
  #pushedBack: ReadonlySet<string> = new Set();
  /** ifindexes of bridges where not every entry is captured. */
  #unwatched = new Set<number>();

  constructor(opened: Opened, expedite: Expedite, desired: DatapathState, { look = true }: ApplyOptions) {
    this.#opened = opened;
    this.#expedite = expedite;
    this.#desired = desired;
    this.#look = look;
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
    const rows = this.#buildRows(canHold);
    const now = performance.now();
    this.#lookAround(rows, now);
    this.#install(rows);
    this.#fillArrivals();
    this.#noteArriving();
    this.#remove(rows);
    counters.applied();
    this.#result.held = await holding.end(this.#desired);
    this.#release();
    this.#tellProblems(rows, now);
    return this.#result;
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

  #buildRows(holding: boolean): DatapathRows {
    const { helper, netns, segmenter, installation } = this.#opened;
    const overruled = new Set(overruledPorts(this.#desired, this.#opened.links));
    const take = (kind: SlotKind, id: string) => this.#takeSlot(kind, id);
    const sending = sendingDestinations(this.#desired, installation.maps.destinations);
    return buildRows(this.#desired, { overruled, take, helper, netns, segmenter, holding, sending });
  }

  #takeSlot(kind: SlotKind, id: string): number {
    const { slots, counters, devices } = this.#opened;
    if (kind === 'device') {
      return slots.take(kind, id, (slot) => devices.reset(slot));
    }
    if (slots.lacksRoom(kind, id)) {
      counters.makeRoom(kind);
    }
    const reset = (slot: number) => {
      counters.reset(kind, slot);
      if (kind === 'delivery') {
        devices.refill(budgetKey(slot));
      }
    };
    return slots.take(kind, id, reset, counters.textOf(kind, id));
  }

  /** Looks for interference, and for bridges where foreign programs hide packets. */
  #lookAround({ attachments }: DatapathRows, now: number): void {
    const { interference, links, installation, switched } = this.#opened;
    if (this.#look && switched) {
      const placed = attachments.map(({ attachment }) => attachment);
      const { pushedBack, repaired, problems } = interference.look(placed, now);
      this.#pushedBack = pushedBack;
      this.#result.repaired.push(...repaired);
      this.#result.problems.push(...problems);
    }
    const isBehind = (attachment: Attachment) =>
      interference.isDisputed(attachment, now) || links.obstacle(attachment, installation.programIds) !== undefined;
    this.#unwatched = new Set(disputedBridges(attachments, isBehind));
  }

  /** Attaches programs and fills maps. */
  #install(rows: DatapathRows): void {
    const { links, tables } = this.#opened;
    // A removed arrival is captured at its device again, before the parts that arrivals need are
    // removed.
    this.#result.written += tables.arrivals.removeOthers(arrivalRows(this.#desired, this.#unwatched));
    const inPlace = ({ attachment }: Placed) =>
      links.attached(attachment) && !this.#pushedBack.has(attachmentKey(attachment));
    const { attachments } = rows;
    if (!attachments.some((placed) => this.#isNew(placed)) && attachments.every(inPlace)) {
      this.#attachAll(rows);
    } else {
      this.#expedite.during(() => this.#attachAll(rows));
    }
  }

  #attachAll(rows: DatapathRows): void {
    const [path, others] = partition(rows.attachments, ({ capture, bridge }) => !capture && bridge === undefined);
    for (const placed of path) {
      this.#attach(placed);
    }
    // The node's budget is added here, because it may have been set since the rows were built.
    rows.budgets.set(...this.#opened.node.row());
    for (const name of WRITTEN) {
      this.#result.written += this.#opened.tables[name].write(rows[name]);
    }
    this.#switch();
    // New links first: a query of an existing link takes the rtnl lock, as attaching does.
    const [fresh, known] = partition(others, (placed) => this.#isNew(placed));
    for (const placed of [...fresh, ...known]) {
      if (!this.#attach(placed) && placed.bridge !== undefined) {
        this.#unwatched.add(placed.bridge);
      }
    }
  }

  #isNew({ attachment }: Placed): boolean {
    return !this.#opened.links.holds(attachment);
  }

  /** Gives the links of another build the programs of this build, after the maps are filled. */
  #switch(): void {
    const opened = this.#opened;
    if (opened.switched) {
      return;
    }
    opened.links.switchTo(opened.installation.programs);
    // Directly before programs are attached with the other kind of hook: with both kinds, packets
    // would be copied twice.
    opened.others?.open();
    opened.others?.switchTo(new Map()); // without programs: all are dropped
    opened.others?.close();
    opened.others = undefined;
    opened.installation.finish();
    opened.switched = true;
  }

  /**
   * Attaches a program if it is not attached. A failure affects only the parts that need this
   * program.
   */
  #attach(placed: Placed): boolean {
    const { attachment } = placed;
    const { links } = this.#opened;
    try {
      if (!links.attached(attachment) || this.#pushedBack.has(attachmentKey(attachment))) {
        this.#attachAnew(placed);
      }
      this.#kept.add(attachmentKey(attachment));
      return true;
    } catch (error) {
      this.#refuse(placed, error as Error & { code?: string });
      return false;
    }
  }

  /** Detaches and attaches directly after each other. Packets in between are missed. */
  #attachAnew({ attachment, capture }: Placed): void {
    const { links, installation } = this.#opened;
    const takenOff = links.wasTakenOff(attachment);
    links.attach(attachment, installation.programs.get(attachment.program)!);
    const { repaired } = this.#result;
    this.#result.attached++;
    if (takenOff) {
      repaired.push(repairOf('takenOff', attachment));
    } else if (capture && !repaired.some(isOf(attachment))) {
      this.#result.begun.push(capture.id);
      this.#result.begunAt = performance.now();
    }
  }

  #refuse(placed: Placed, { message, code: cause }: Error & { code?: string }): void {
    const gone = cause === 'ENODEV';
    const code = cause === 'HOOK_OCCUPIED' ? cause : 'ATTACH_FAILED';
    if (placed.capture) {
      const { id, ifindex } = placed.capture;
      this.#result.refused.push({ id, ifindex, code, message, ...(gone && { gone }) });
    } else if (!gone) {
      // A removed device needs no program. Its removal is reported separately.
      this.#result.problems.push(...attachProblems(placed, this.#desired, code, message));
    }
  }

  #fillArrivals(): void {
    const { arrivals } = this.#opened.tables;
    const rows = arrivalRows(this.#desired, this.#unwatched);
    this.#result.written += arrivals.removeOthers(rows) + arrivals.write(rows);
  }

  /** Marks refused captures whose unicast is still captured at the ports of the bridge. */
  #noteArriving(): void {
    const { arrivals = [], captures } = this.#desired;
    const watched = new Set(
      arrivals.filter(({ bridge }) => !this.#unwatched.has(bridge)).map(({ ifindex }) => ifindex),
    );
    const arriving = new Set(captures.filter(({ arrivalBridge }) => arrivalBridge !== undefined).map(({ id }) => id));
    for (const refusal of this.#result.refused) {
      if (!refusal.gone && arriving.has(refusal.id) && watched.has(refusal.ifindex)) {
        refusal.arrives = true;
      }
    }
  }

  /** Detaches and removes everything that the state no longer has. */
  #remove(rows: DatapathRows): void {
    const { links, tables } = this.#opened;
    const kept = this.#kept;
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
    this.#result.problems.push(
      ...disputes(attachments, this.#desired, (attachment) => interference.isDisputed(attachment, now)),
      ...obstacles(attachments, this.#desired, links, installation.programIds),
    );
  }
}

/** Whether a repair was about this program of this device. */
function isOf({ program, ifindex }: Attachment) {
  return (repair: { program?: string; ifindex?: number }) => repair.program === program && repair.ifindex === ifindex;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
