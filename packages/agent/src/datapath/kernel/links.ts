/** Programs of ours at the hooks of devices, and the ways in which a kernel can hang them there. */
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
} as const;
export type ProgramName = (typeof PROGRAMS)[keyof typeof PROGRAMS];

/** The two hooks of a device. */
export const HOOKS = ['ingress', 'egress'] as const;

/** A program that is to hang on a hook of a device. */
export interface Attachment {
  ifindex: number;
  hook: Hook;
  program: ProgramName;
}

export function attachmentKey({ ifindex, hook, program }: Attachment): string {
  return `${hook}-${ifindex}-${program}`;
}

/** The attachment of a key; undefined where it is none. */
export function parseKey(key: string): Attachment | undefined {
  const match = /^(ingress|egress)-(\d+)-(\w+)$/.exec(key);
  if (!match) {
    return undefined;
  }
  return { hook: match[1] as Hook, ifindex: Number(match[2]), program: match[3] as ProgramName };
}

/** What hangs at a hook already leaves no place for a program of ours. The message says what, and what to do. */
export class HookOccupiedError extends Error {
  readonly code = 'HOOK_OCCUPIED';
}

/** All programs of ours at hooks of this node, in one of the ways. They stay when the agent ends. */
export interface Links {
  readonly kind: HookKind;
  /** Takes over what an earlier agent left, with the programs that it has. What vanished devices had is forgotten. */
  open(): void;
  /** Gives each place the program that is current now, atomically; those of programs that are no more are dropped. */
  switchTo(programs: ReadonlyMap<ProgramName, number>): void;
  /** Makes sure that what others changed a moment ago is not overlooked from here on. */
  look(): void;
  /** True where we attached it once, and have not detached it. Asks nobody. */
  holds(attachment: Attachment): boolean;
  /** True where it hangs on its device still: what hangs on a device goes with it. */
  attached(attachment: Attachment): boolean;
  /**
   * Attaches at the head of the hook, or as near to it as can be.
   * @throws BpfError, NetlinkError or HookOccupiedError, and leaves nothing behind then
   */
  attach(attachment: Attachment, program: number): void;
  /** True where we attached it and other software detached it. */
  wasTakenOff(attachment: Attachment): boolean;
  /**
   * True where a program of someone else runs before ours at this hook, and could end the chain or change the packet, and
   * attaching again puts ours in front.
   */
  isPushedBack(attachment: Attachment, ours: ReadonlySet<number>): boolean;
  /** What of someone else runs before ours and stays there whatever we do, in words; undefined where nothing does. */
  obstacle(attachment: Attachment, ours: ReadonlySet<number>): string | undefined;
  /**
   * True where a filter of someone else is at this hook: where it comes after ours, its verdict takes away what ours
   * leaves in skb->tc_index (tc_run in net/core/dev.c).
   */
  isOverruled(attachment: Attachment): boolean;
  /** Pins again what someone has unpinned. Returns how many pins were missing. */
  restorePins(): number;
  /** How many places `detachOthers` would leave. */
  countOthers(kept: ReadonlySet<string>): number;
  /** Detaches everything whose key is not in `kept`. Returns how many. */
  detachOthers(kept: ReadonlySet<string>): number;
  /** Leaves nothing of ours behind, and everything of others. */
  removeAll(): void;
  /** Lets go. Everything stays where it hangs. */
  close(): void;
}
