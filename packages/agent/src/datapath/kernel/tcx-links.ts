/**
 * BPF programs at tcx hooks. Each link is pinned as `links/HOOK-IFINDEX-PROGRAM`, and outlives the
 * agent.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TcFilters } from '../../netlink/tc-filters.ts';
import { HookFilters } from './hook-filters.ts';
import {
  attachTcx,
  closeFd,
  detachLink,
  getPinned,
  pin,
  programId,
  programsAt,
  replaceProgram,
  tcxLinkInfo,
} from './libbpf.ts';
import { type Attachment, attachmentKey, LAST, type Links, type ProgramName, parseKey } from './links.ts';

/** Links for kernels since 6.6. */
export class TcxLinks implements Links {
  readonly kind = 'tcx';
  readonly #folder: string;
  /** Key to file descriptor of the link. */
  readonly #held = new Map<string, number>();
  /** Keys of links that were in place when the kernel was asked. Their devices have not gone since. */
  readonly #known = new Set<string>();
  readonly #filters = new TcFilters();
  readonly #places = new HookFilters(this.#filters);
  /** The programs of each hook, of a list of programs that is asked for again and again. */
  #grouped: { of: readonly Attachment[]; hooks: Attachment[][] } | undefined;

  constructor(bpffs: string) {
    this.#folder = join(bpffs, 'links');
  }

  open(): void {
    this.#places.open();
    for (const key of existsSync(this.#folder) ? readdirSync(this.#folder) : []) {
      const attachment = parseKey(key);
      const link = attachment && getPinned(join(this.#folder, key));
      if (!attachment || link === undefined) {
        continue;
      }
      this.#held.set(key, link);
      if (tcxLinkInfo(link).ifindex !== attachment.ifindex) {
        this.#drop(key);
      }
    }
  }

  switchTo(programs: ReadonlyMap<ProgramName, number>): void {
    const ids = new Map([...programs].map(([name, program]) => [name, programId(program)]));
    for (const [key, link] of [...this.#held]) {
      const { program: name } = parseKey(key)!;
      const program = programs.get(name);
      if (program === undefined) {
        this.#drop(key);
      } else if (tcxLinkInfo(link).programId !== ids.get(name)) {
        replaceProgram(link, program);
      }
    }
  }

  /** A device that was made again with the same ifindex has none of the programs of the former one. */
  look(): void {
    this.#places.look();
    const gone = this.#places.takeGone();
    for (const key of this.#known) {
      if (gone === undefined || gone.has(parseKey(key)!.ifindex)) {
        this.#known.delete(key);
      }
    }
  }

  doubt(): void {
    this.#known.clear();
  }

  holds(attachment: Attachment): boolean {
    return this.#held.has(attachmentKey(attachment));
  }

  /** Each question waits for those who make devices, and a node has hundreds of links. */
  attached(attachment: Attachment): boolean {
    const key = attachmentKey(attachment);
    const link = this.#held.get(key);
    if (link === undefined || this.#known.has(key)) {
      return link !== undefined;
    }
    const isThere = tcxLinkInfo(link).ifindex === attachment.ifindex;
    if (isThere) {
      this.#known.add(key);
    }
    return isThere;
  }

  attach(attachment: Attachment, program: number): void {
    const key = attachmentKey(attachment);
    this.#drop(key);
    mkdirSync(this.#folder, { recursive: true });
    const behind = LAST.has(attachment.program) ? this.#lastOfOurs(attachment) : undefined;
    const link = attachTcx(program, attachment.ifindex, attachment.hook, behind);
    try {
      pin(link, join(this.#folder, key));
    } catch (error) {
      detachLink(link);
      closeFd(link);
      throw error;
    }
    this.#held.set(key, link);
    this.#known.add(key);
  }

  /** Kernel id of the last program of ours at a hook. */
  #lastOfOurs({ ifindex, hook }: Attachment): number | undefined {
    const ours = [...this.#held]
      .filter(([key]) => key.startsWith(`${hook}-${ifindex}-`))
      .map(([, link]) => tcxLinkInfo(link).programId);
    return programsAt(ifindex, hook).findLast((id) => ours.includes(id));
  }

  areInPlace(attachments: readonly Attachment[], ours: ReadonlySet<number>, half?: 0 | 1): boolean {
    if (this.#places.haveChanged()) {
      return false;
    }
    if (this.#grouped?.of !== attachments) {
      const hooks = Map.groupBy(attachments, ({ ifindex, hook }) => `${hook}-${ifindex}`);
      this.#grouped = { of: attachments, hooks: [...hooks.values()] };
    }
    return this.#grouped.hooks.every((placed, at) => {
      if (half !== undefined && at % 2 !== half) {
        return true;
      }
      const ids = programsAt(placed[0]!.ifindex, placed[0]!.hook);
      // All of ours come first, and each is there once.
      return ids.length >= placed.length && placed.every((_, place) => ours.has(ids[place]!));
    });
  }

  wasTakenOff(attachment: Attachment): boolean {
    return this.#held.has(attachmentKey(attachment)) && !this.attached(attachment);
  }

  isPushedBack({ ifindex, hook }: Attachment, ours: ReadonlySet<number>): boolean {
    const ids = programsAt(ifindex, hook);
    const foreign = ids.findIndex((id) => !ours.has(id));
    return foreign !== -1 && ids.slice(foreign).some((id) => ours.has(id));
  }

  /** At tcx, our program can always be first. */
  obstacle(): undefined {}

  /**
   * A later program at tcx does not change the class that ours has set, see
   * packages/bpf/src/arrive.h.
   */
  isOverruled(attachment: Attachment): boolean {
    return this.#places.at(attachment).filters.length > 0;
  }

  restorePins(): number {
    mkdirSync(this.#folder, { recursive: true });
    const present = new Set(readdirSync(this.#folder));
    const missing = [...this.#held].filter(([key]) => !present.has(key));
    for (const [key, link] of missing) {
      pin(link, join(this.#folder, key));
    }
    return missing.length;
  }

  countOthers(kept: ReadonlySet<string>): number {
    return [...this.#held.keys()].filter((key) => !kept.has(key)).length;
  }

  detachOthers(kept: ReadonlySet<string>): number {
    const others = [...this.#held.keys()].filter((key) => !kept.has(key));
    for (const key of others) {
      this.#drop(key);
    }
    return others.length;
  }

  #drop(key: string): void {
    const link = this.#held.get(key);
    if (link === undefined) {
      return;
    }
    this.#held.delete(key);
    this.#known.delete(key);
    rmSync(join(this.#folder, key), { force: true });
    try {
      // Closing the last descriptor detaches in the background. An explicit detach takes effect
      // before the return.
      if (tcxLinkInfo(link).ifindex !== 0) {
        detachLink(link);
      }
    } catch (error) {
      // The device was removed after the query, and the program with it.
      if (tcxLinkInfo(link).ifindex !== 0) {
        throw error;
      }
    } finally {
      closeFd(link);
    }
  }

  removeAll(): void {
    this.switchTo(new Map());
  }

  close(): void {
    for (const link of this.#held.values()) {
      closeFd(link);
    }
    this.#held.clear();
    this.#known.clear();
    this.#places.close();
    this.#filters.close();
  }
}
