/** Programs at tcx hooks: each link is pinned as `links/HOOK-IFINDEX-PROGRAM`, and so outlives the agent. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Hook } from '../datapath.ts';
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

/** The programs of mirror.bpf.c by their place. */
export const PROGRAMS = {
  captureIngress: 'capture_ingress',
  captureEgress: 'capture_egress',
  arriveIngress: 'arrive_ingress',
  arriveEgress: 'arrive_egress',
  transform: 'transform_copy',
  release: 'release_held',
  terminate: 'terminate_erspan',
} as const;
export type ProgramName = (typeof PROGRAMS)[keyof typeof PROGRAMS];

/** A program that is to hang on a hook of a device. */
export interface Attachment {
  ifindex: number;
  hook: Hook;
  program: ProgramName;
}

export function attachmentKey({ ifindex, hook, program }: Attachment): string {
  return `${hook}-${ifindex}-${program}`;
}

function parseKey(key: string): Attachment | undefined {
  const match = /^(ingress|egress)-(\d+)-(\w+)$/.exec(key);
  if (!match) return undefined;
  return { hook: match[1] as Hook, ifindex: Number(match[2]), program: match[3] as ProgramName };
}

/** All links of ours on this node. */
export class Links {
  readonly #folder: string;
  /** Key to file descriptor of the link. */
  readonly #held = new Map<string, number>();

  constructor(bpffs: string) {
    this.#folder = join(bpffs, 'links');
  }

  /** Takes over pinned links, with the programs that they have. Links of vanished devices are removed. */
  open(): void {
    mkdirSync(this.#folder, { recursive: true });
    for (const key of readdirSync(this.#folder)) {
      const attachment = parseKey(key);
      const link = attachment && getPinned(join(this.#folder, key));
      if (!attachment || link === undefined) continue;
      this.#held.set(key, link);
      if (tcxLinkInfo(link).ifindex !== attachment.ifindex) this.#drop(key);
    }
  }

  /** Gives each link the program that is current now, atomically; links of programs that are no more are dropped. */
  switchTo(programs: ReadonlyMap<ProgramName, number>): void {
    const ids = new Map([...programs].map(([name, program]) => [name, programId(program)]));
    for (const [key, link] of [...this.#held]) {
      const { program: name } = parseKey(key)!;
      const program = programs.get(name);
      if (program === undefined) this.#drop(key);
      else if (tcxLinkInfo(link).programId !== ids.get(name)) replaceProgram(link, program);
    }
  }

  /** True where we attached it once, and have not detached it. Asks nobody. */
  holds(attachment: Attachment): boolean {
    return this.#held.has(attachmentKey(attachment));
  }

  /** True where the link hangs on its device still: a device that goes away detaches its links. */
  attached(attachment: Attachment): boolean {
    const link = this.#held.get(attachmentKey(attachment));
    return link !== undefined && tcxLinkInfo(link).ifindex === attachment.ifindex;
  }

  /** Attaches at the head of the hook. @throws BpfError, and leaves nothing behind then. */
  attach(attachment: Attachment, program: number): void {
    const key = attachmentKey(attachment);
    this.#drop(key);
    const link = attachTcx(program, attachment.ifindex, attachment.hook);
    try {
      pin(link, join(this.#folder, key));
    } catch (error) {
      detachLink(link);
      closeFd(link);
      throw error;
    }
    this.#held.set(key, link);
  }

  /** True where we attached it and somebody took it off. */
  wasTakenOff(attachment: Attachment): boolean {
    return this.#held.has(attachmentKey(attachment)) && !this.attached(attachment);
  }

  /** True where a program of somebody else runs before ours at this hook, and could end the chain or change the packet. */
  isPushedBack({ ifindex, hook }: Attachment, ours: ReadonlySet<number>): boolean {
    const ids = programsAt(ifindex, hook);
    const foreign = ids.findIndex((id) => !ours.has(id));
    return foreign !== -1 && ids.slice(foreign).some((id) => ours.has(id));
  }

  /** Pins links whose pin somebody has removed. Returns how many. */
  restorePins(): number {
    mkdirSync(this.#folder, { recursive: true });
    const present = new Set(readdirSync(this.#folder));
    const missing = [...this.#held].filter(([key]) => !present.has(key));
    for (const [key, link] of missing) pin(link, join(this.#folder, key));
    return missing.length;
  }

  /** How many links `detachOthers` would detach. */
  countOthers(kept: ReadonlySet<string>): number {
    return [...this.#held.keys()].filter((key) => !kept.has(key)).length;
  }

  /** Detaches every link whose key is not in `kept`. Returns how many. */
  detachOthers(kept: ReadonlySet<string>): number {
    const others = [...this.#held.keys()].filter((key) => !kept.has(key));
    for (const key of others) this.#drop(key);
    return others.length;
  }

  #drop(key: string): void {
    const link = this.#held.get(key);
    if (link === undefined) return;
    this.#held.delete(key);
    rmSync(join(this.#folder, key), { force: true });
    try {
      // Closing the last descriptor detaches in the background; what we promise to remove is gone when we return.
      if (tcxLinkInfo(link).ifindex !== 0) detachLink(link);
    } catch (error) {
      // The device went, and the program with it, after we had asked.
      if (tcxLinkInfo(link).ifindex !== 0) throw error;
    } finally {
      closeFd(link);
    }
  }

  /** Lets go of the descriptors; the pins hold the links. */
  close(): void {
    for (const link of this.#held.values()) closeFd(link);
    this.#held.clear();
  }
}
