/** Finds interference: removed pins, changed maps, programs that were pushed back. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { DatapathProblem, Repair } from '../datapath.ts';
import type { Installation } from './install.ts';
import { type Attachment, attachmentKey, type Links } from './links.ts';
import { Rivals } from './rivals.ts';
import type { TableWriter } from './table-writer.ts';

/** The shortest time between two looks, milliseconds. */
const LOOK_INTERVAL_MS = 400;
/**
 * Tables of up to so many rows are compared by `isIntact`, and read again at every look. Larger tables
 * are read at every n-th look, with n below.
 */
const SMALL_TABLE = 4096;
const LARGE_TABLE_TURN = 20;

export interface InterferenceParts {
  bpffs: string;
  links: Links;
  installation: Installation;
  tables: readonly TableWriter[];
}

/** The result of a look. */
export interface Found {
  /**
   * Keys of programs that must be attached again, in front. A detached program is found when it is
   * attached again.
   */
  pushedBack: ReadonlySet<string>;
  repaired: readonly Repair[];
  problems: readonly DatapathProblem[];
}

const NOTHING: Found = { pushedBack: new Set(), repaired: [], problems: [] };

/** Looks for interference, and repairs pins and maps. */
export class Interference {
  readonly #parts: InterferenceParts;
  readonly #rivals = new Rivals();
  #lookedAt = 0;
  #looks = 0;
  /** Programs at hooks as the last apply has left them. Undefined: not all is as it should be. */
  #settled: readonly Attachment[] | undefined;
  #pinsChangedAt = '';

  constructor(parts: InterferenceParts) {
    this.#parts = parts;
  }

  /** Looks, at most once in LOOK_INTERVAL_MS. @param now milliseconds of `performance.now()` */
  look(attachments: readonly Attachment[], now: number): Found {
    if (now - this.#lookedAt < LOOK_INTERVAL_MS) {
      return NOTHING;
    }
    this.#lookedAt = now;
    this.#looks++;
    const { links, installation } = this.#parts;
    const back = attachments
      .filter((attachment) => links.attached(attachment) && links.isPushedBack(attachment, installation.programIds))
      .filter((attachment) => this.#rivals.behind(attachmentKey(attachment), now));
    const pins = this.#restorePins();
    this.#pinsChangedAt = this.#pinChanges();
    return {
      pushedBack: new Set(back.map(attachmentKey)),
      repaired: [
        ...back.map((attachment) => repairOf('pushedBack', attachment)),
        ...repairs('mapWritten', this.#rereadTables()),
        ...repairs('unpinned', typeof pins === 'number' ? pins : 0),
      ],
      problems: typeof pins === 'number' ? [] : [pins],
    };
  }

  /**
   * Notes what an apply has left.
   * @param attachments all programs that belong to the state
   * @param whole the apply has looked or attached without any trouble, so that only changes matter from now on
   */
  settled(attachments: readonly Attachment[], whole: boolean): void {
    this.#settled = whole ? attachments : undefined;
  }

  /**
   * Whether nobody has changed what the last apply has left. A fraction of the cost of `look`, which
   * also sees what is not asked here: whether large tables and the helper device are unchanged, and
   * pins that others have removed in the same moment in which we made some.
   * @param half of the hooks and tables that is asked. The pins belong to the first. Default: all
   */
  isIntact(half?: 0 | 1): boolean {
    const { links, installation, tables } = this.#parts;
    const isAsked = (at: number) => half === undefined || at % 2 === half;
    return (
      this.#settled !== undefined &&
      links.areInPlace(this.#settled, installation.programIds, half) &&
      (!isAsked(0) || this.#pinChanges() === this.#pinsChangedAt) &&
      !tables.some((table, at) => isAsked(at) && table.size <= SMALL_TABLE && table.differs())
    );
  }

  /** When something was pinned or unpinned last, for comparison. */
  #pinChanges(): string {
    const { bpffs } = this.#parts;
    const times = ['', 'maps', 'links', this.#parts.installation.programFolder].map(
      (folder) => statSync(join(bpffs, folder), { bigint: true, throwIfNoEntry: false })?.mtimeNs,
    );
    return times.join();
  }

  /** True where another program repeatedly attaches before ours. */
  isDisputed(attachment: Attachment, now: number): boolean {
    return this.#rivals.isDisputed(attachmentKey(attachment), now);
  }

  #rereadTables(): number {
    const due = this.#parts.tables.filter(({ size }) => size <= SMALL_TABLE || this.#looks % LARGE_TABLE_TURN === 0);
    return due.reduce((sum, table) => sum + table.reread(), 0);
  }

  /** Number of missing pins, or why they cannot be restored. */
  #restorePins(): number | DatapathProblem {
    const { bpffs, installation, links } = this.#parts;
    try {
      return installation.restorePins() + links.restorePins();
    } catch (error) {
      const message = `the pins of the agent in ${bpffs} cannot be restored: ${(error as Error).message}`;
      return { code: 'ATTACH_FAILED', message };
    }
  }
}

/** The repair of a program at a hook. */
export function repairOf(kind: 'takenOff' | 'pushedBack', { program, ifindex }: Attachment): Repair {
  return { kind, program, ifindex, count: 1 };
}

function repairs(kind: Repair['kind'], count: number): Repair[] {
  return count === 0 ? [] : [{ kind, count }];
}
