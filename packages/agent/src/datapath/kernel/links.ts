/** Interface for attaching BPF programs to the hooks of devices, for both kinds of hook. */
import type { HookKind } from '@mirrorplane/contract';
import type { Hook } from '../datapath.ts';

/** The programs of mirror.bpf.c by their place. */
export const PROGRAMS = {
  captureIngress: 'capture_ingress',
  captureEgress: 'capture_egress',
  arriveIngress: 'arrive_ingress',
  arriveEgress: 'arrive_egress',
  feedbackIngress: 'feedback_ingress',
  feedbackEgress: 'feedback_egress',
  transform: 'transform_copy',
  release: 'release_held',
  terminate: 'terminate_erspan',
  watchIngress: 'watch_ingress',
  watchEgress: 'watch_egress',
} as const;
export type ProgramName = (typeof PROGRAMS)[keyof typeof PROGRAMS];

/** These come behind all others of ours at their hook, and before those of others. */
export const LAST: ReadonlySet<ProgramName> = new Set([PROGRAMS.watchIngress, PROGRAMS.watchEgress]);

/** The two hooks of a device. */
export const HOOKS = ['ingress', 'egress'] as const;

/** A program for a hook of a device. */
export interface Attachment {
  ifindex: number;
  hook: Hook;
  program: ProgramName;
}

export function attachmentKey({ ifindex, hook, program }: Attachment): string {
  return `${hook}-${ifindex}-${program}`;
}

/** The attachment of a key. Undefined for any other text. */
export function parseKey(key: string): Attachment | undefined {
  const match = /^(ingress|egress)-(\d+)-(\w+)$/.exec(key);
  if (!match) {
    return undefined;
  }
  return { hook: match[1] as Hook, ifindex: Number(match[2]), program: match[3] as ProgramName };
}

/** Other programs leave no place at a hook. The message names them and the remedy. */
export class HookOccupiedError extends Error {
  readonly code = 'HOOK_OCCUPIED';
}

/**
 * All programs of Mirrorplane at hooks of this node, of one kind of hook. They stay when the agent
 * ends.
 */
export interface Links {
  readonly kind: HookKind;
  /**
   * Takes over the links of an earlier agent with their programs. Links of removed devices are
   * forgotten.
   */
  open(): void;
  /**
   * Replaces the program of each link atomically by the current one. Links of removed programs are
   * dropped.
   */
  switchTo(programs: ReadonlyMap<ProgramName, number>): void;
  /** Makes later queries see what the kernel has reported until now. */
  look(): void;
  /** Makes later queries ask the kernel about each program: others may have detached it, which it does not report. */
  doubt(): void;
  /** True if it was attached and not detached here. Does not query the kernel. */
  holds(attachment: Attachment): boolean;
  /** True if it is still attached to its device. It is removed together with the device. */
  attached(attachment: Attachment): boolean;
  /**
   * Attaches at the head of the hook, or as close to it as possible. One of LAST
   * comes right behind ours that are there.
   * @throws BpfError, NetlinkError or HookOccupiedError; nothing is left behind then
   */
  attach(attachment: Attachment, program: number): void;
  /**
   * True if all of these are attached, none is pushed back, and no filter of others has come or gone
   * at a hook that was asked about. Cheaper than asking for each.
   * @param half of the hooks that is asked. Default: all
   */
  areInPlace(attachments: readonly Attachment[], ours: ReadonlySet<number>, half?: 0 | 1): boolean;
  /** True if it was attached here, and other software has detached it. */
  wasTakenOff(attachment: Attachment): boolean;
  /**
   * True if another program runs before ours at this hook, where it can end the chain or change the
   * packet, and attaching ours again puts ours in front.
   */
  isPushedBack(attachment: Attachment, ours: ReadonlySet<number>): boolean;
  /** Describes a foreign program that always runs before ours. Undefined if there is none. */
  obstacle(attachment: Attachment, ours: ReadonlySet<number>): string | undefined;
  /**
   * True if a foreign filter is at this hook. If it runs after ours, its verdict overwrites the
   * value that ours leaves in skb->tc_index (tc_run in net/core/dev.c).
   */
  isOverruled(attachment: Attachment): boolean;
  /** Restores pins that someone has removed. Returns how many pins were missing. */
  restorePins(): number;
  /** Number of links that `detachOthers` would detach. */
  countOthers(kept: ReadonlySet<string>): number;
  /** Detaches every link whose key is not in `kept`. Returns their number. */
  detachOthers(kept: ReadonlySet<string>): number;
  /** Removes everything of Mirrorplane, and nothing of others. */
  removeAll(): void;
  /** Closes file descriptors. All programs stay attached. */
  close(): void;
}
