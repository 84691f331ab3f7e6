/**
 * BPF programs as cls_bpf filters (direct action) at clsact, for kernels without tcx.
 *
 * Filters of Mirrorplane are recognised by their name. A clsact of Mirrorplane is recognised by an
 * empty chain with a special number. Both exist as long as the device, so no other record is
 * needed. A device that gets the ifindex of an earlier one is not mistaken for it.
 *
 * A clsact that Mirrorplane made stays until the uninstall. When a clsact is added or removed, the
 * kernel takes away the device's queues for a moment (qdisc_graft in net/sched/sch_api.c), and
 * drops packets that are sent meanwhile.
 */
import type { HookKind } from '@mirrorplane/contract';
import { NetlinkError } from '../../netlink/rtnetlink.ts';
import { type Filter, type Replacement, TcFilters } from '../../netlink/tc-filters.ts';
import type { Hook } from '../datapath.ts';
import { HookFilters, type Place } from './hook-filters.ts';
import { deviceName, programId, programsAt } from './libbpf.ts';
import {
  type Attachment,
  attachmentKey,
  HOOKS,
  HookOccupiedError,
  LAST,
  type Links,
  PROGRAMS,
  type ProgramName,
} from './links.ts';

const NAMES: readonly string[] = Object.values(PROGRAMS);
const PREFIX = 'mirrorplane:';
/** A clsact with this chain at ingress was made by Mirrorplane. The kernel accepts 28 bits. */
const OWN_CHAIN = 0x6d70000;
/**
 * The first handle of filters. Other software is unlikely to choose it. A filter with the same
 * handle would replace ours.
 */
const FIRST_HANDLE = 0x6d700001;
/**
 * The preference of a filter that runs first. Filters without a chosen preference get one from
 * 49152 downwards.
 */
const FIRST_PREFERENCE = 1;
/** A filter of Mirrorplane. */
type Own = Filter & { owner: ProgramName };

function own(filter: Filter): Own | undefined {
  if (filter.kind !== 'bpf' || !filter.name.startsWith(PREFIX)) {
    return undefined;
  }
  const owner = filter.name.slice(PREFIX.length);
  return NAMES.includes(owner) ? { ...filter, owner: owner as ProgramName } : undefined;
}

/** Links for kernels without tcx. */
export class ClsactLinks implements Links {
  readonly kind: HookKind = 'clsact';
  readonly #filters = new TcFilters();
  /** The kernel has tcx. Programs at tcx run before all filters. */
  readonly #tcx: boolean;
  readonly #places = new HookFilters(this.#filters);
  readonly #held = new Map<string, Attachment>();

  constructor(options: { tcx: boolean }) {
    this.#tcx = options.tcx;
  }

  open(): void {
    this.#places.open();
    for (const ifindex of this.#filters.carriers()) {
      for (const hook of HOOKS) {
        for (const { owner: program } of this.#ownAt(ifindex, hook)) {
          const attachment = { ifindex, hook, program };
          this.#held.set(attachmentKey(attachment), attachment);
        }
      }
    }
  }

  switchTo(programs: ReadonlyMap<ProgramName, number>): void {
    const ids = new Map([...programs].map(([name, program]) => [name, programId(program)]));
    const replaced: Replacement[] = [];
    for (const [key, { ifindex, hook, program: name }] of [...this.#held]) {
      const program = programs.get(name);
      const filter = this.#find(ifindex, hook, name);
      if (program === undefined) {
        this.#drop(key);
      } else if (filter && filter.program !== ids.get(name)) {
        replaced.push({ ifindex, side: this.#place(ifindex, hook).side, filter: { ...filter, program } });
      }
    }
    // All in one call, so that no packet meets programs of two builds.
    this.#filters.replace(replaced);
    for (const { ifindex } of replaced) {
      this.#places.forget(ifindex);
    }
  }

  look(): void {
    this.#places.look();
  }

  holds(attachment: Attachment): boolean {
    return this.#held.has(attachmentKey(attachment));
  }

  /** Nothing to do: the kernel reports changes of filters. */
  doubt(): void {}

  attached({ ifindex, hook, program }: Attachment): boolean {
    return this.#find(ifindex, hook, program) !== undefined;
  }

  attach(attachment: Attachment, program: number): void {
    const { ifindex, hook, program: name } = attachment;
    this.#places.forget(ifindex);
    const carrier = this.#filters.carrier(ifindex);
    if (carrier === 'ingress' && hook === 'egress') {
      throw new HookOccupiedError(occupied(deviceName(ifindex)));
    }
    if (carrier === undefined) {
      this.#filters.makeCarrier(ifindex, OWN_CHAIN);
    }
    const { side, filters } = this.#place(ifindex, hook);
    const old = this.#find(ifindex, hook, name);
    if (old) {
      this.#filters.remove(ifindex, side, old);
    }
    const others = filters.filter(({ preference, handle }) => preference !== old?.preference || handle !== old.handle);
    const preference = bestPreference(others, LAST.has(name) ? lastOfOurs(others) + 1 : FIRST_PREFERENCE);
    const handle = freeHandle(others, name);
    try {
      this.#filters.add(ifindex, side, { name: PREFIX + name, program, preference, handle });
    } catch (error) {
      if (isSharedBlock(error)) {
        throw new HookOccupiedError(shared(deviceName(ifindex), hook));
      }
      throw error;
    }
    this.#places.forget(ifindex);
    this.#held.set(attachmentKey(attachment), attachment);
  }

  areInPlace(attachments: readonly Attachment[], ours: ReadonlySet<number>): boolean {
    // Before ours, at tcx, there may be programs of others.
    const isBehind = (attachment: Attachment) => this.#tcx && this.obstacle(attachment, ours) !== undefined;
    return (
      !this.#places.haveChanged() &&
      attachments.every(
        (attachment) => this.attached(attachment) && !this.isPushedBack(attachment) && !isBehind(attachment),
      )
    );
  }

  wasTakenOff(attachment: Attachment): boolean {
    return this.holds(attachment) && !this.attached(attachment);
  }

  isPushedBack({ ifindex, hook, program }: Attachment): boolean {
    // Filters of others that come behind ours of the first preference are before it, and stay
    // there.
    if (LAST.has(program)) {
      return false;
    }
    const filters = this.#list(ifindex, hook);
    const at = filters.findIndex((filter) => own(filter)?.owner === program);
    const best = bestPreference(filters);
    return filters.slice(0, Math.max(at, 0)).some((filter) => !own(filter) && filter.preference >= best);
  }

  obstacle({ ifindex, hook, program }: Attachment, ours: ReadonlySet<number>): string | undefined {
    const foreign = this.#tcx ? programsAt(ifindex, hook).find((id) => !ours.has(id)) : undefined;
    if (foreign !== undefined) {
      return `program ${foreign} at tcx runs before all of clsact; run the agent with --hook tcx`;
    }
    const filters = this.#list(ifindex, hook);
    if (LAST.has(program)) {
      return inFront(filters, program);
    }
    const first = filters[0];
    if (first === undefined || own(first) || first.preference >= bestPreference(filters)) {
      return undefined;
    }
    if (!filters.some((filter) => own(filter)?.owner === program)) {
      return undefined;
    }
    return `a ${first.kind} filter of preference ${first.preference} runs before ours; give it another preference`;
  }

  isOverruled({ ifindex, hook }: Attachment): boolean {
    return this.#list(ifindex, hook).some((filter) => !own(filter));
  }

  /** Filters have no pins: a filter stays until someone removes it. */
  restorePins(): number {
    return 0;
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

  removeAll(): void {
    this.switchTo(new Map());
    for (const ifindex of this.#filters.carriers()) {
      if (!this.#filters.chains(ifindex, 'ingress').includes(OWN_CHAIN)) {
        continue;
      }
      const empty = HOOKS.every((hook) => {
        const chains = this.#filters.chains(ifindex, hook).filter((chain) => chain !== OWN_CHAIN && chain !== 0);
        return chains.length === 0 && this.#filters.list(ifindex, hook).length === 0;
      });
      if (empty) {
        this.#filters.removeCarrier(ifindex);
      } else {
        this.#filters.removeChain(ifindex, OWN_CHAIN);
      }
    }
  }

  close(): void {
    this.#places.close();
    this.#filters.close();
    this.#held.clear();
  }

  #drop(key: string): void {
    const { ifindex, hook, program } = this.#held.get(key)!;
    this.#held.delete(key);
    this.#places.forget(ifindex);
    const filter = this.#find(ifindex, hook, program);
    if (filter) {
      this.#filters.remove(ifindex, this.#place(ifindex, hook).side, filter);
    }
    this.#places.forget(ifindex);
  }

  #find(ifindex: number, hook: Hook, program: ProgramName): Own | undefined {
    return this.#ownAt(ifindex, hook).find(({ owner }) => owner === program);
  }

  #ownAt(ifindex: number, hook: Hook): Own[] {
    return this.#list(ifindex, hook).flatMap((filter) => own(filter) ?? []);
  }

  #list(ifindex: number, hook: Hook): readonly Filter[] {
    return this.#place(ifindex, hook).filters;
  }

  #place(ifindex: number, hook: Hook): Place {
    return this.#places.at({ ifindex, hook });
  }
}

/**
 * What of others is in front of one of LAST: the kernel puts no filter behind another of the same
 * preference.
 */
function inFront(filters: readonly Filter[], program: ProgramName): string | undefined {
  const at = filters.findIndex((filter) => own(filter)?.owner === program);
  const foreign = filters.slice(0, Math.max(at, 0)).find((filter) => !own(filter));
  const what = foreign && `a ${foreign.kind} filter of preference ${foreign.preference} runs before the look`;
  return what && `${what}; give it a higher preference`;
}

/** The highest preference of filters of ours; 0: there are none. */
function lastOfOurs(filters: readonly Filter[]): number {
  return Math.max(0, ...filters.filter(own).map(({ preference }) => preference));
}

/**
 * The lowest preference that our filter can have. All filters of a preference have the same
 * classifier and protocol.
 */
function bestPreference(filters: readonly Filter[], least = FIRST_PREFERENCE): number {
  const barred = new Set(
    filters.filter(({ kind, allProtocols }) => kind !== 'bpf' || !allProtocols).map(({ preference }) => preference),
  );
  let preference = least;
  while (barred.has(preference)) {
    preference++;
  }
  return preference;
}

/** The handle of a program. If it is taken by other software, a higher one. */
function freeHandle(filters: readonly Filter[], name: ProgramName): number {
  const taken = new Set(filters.map(({ handle }) => handle));
  let handle = FIRST_HANDLE + NAMES.indexOf(name);
  while (taken.has(handle)) {
    handle += NAMES.length;
  }
  return handle;
}

/**
 * Whether the kernel has refused a filter because the qdisc has a shared block
 * (net/sched/cls_api.c).
 */
function isSharedBlock(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === 'ENOTSUP';
}

function shared(device: string, hook: Hook): string {
  return (
    `the qdisc of ${device} has its filters of ${hook} in a block that other devices may share ` +
    `("tc qdisc show dev ${device}" names it), and a filter in it would see the packets of all these devices; ` +
    'create the qdisc without the block, or run Linux 6.6 or newer'
  );
}

function occupied(device: string): string {
  return (
    `${device} has a qdisc "ingress", probably because of a rate limit (libvirt, Proxmox VE, Open vSwitch): ` +
    'the kernel allows no clsact beside it, so packets that the node sends into the device cannot be captured; ' +
    `remove the limit ("tc qdisc del dev ${device} ingress"), or run Linux 6.6 or newer`
  );
}
