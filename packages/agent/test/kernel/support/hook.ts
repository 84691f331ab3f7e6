/**
 * The programs at the devices of a test: libbpf and bpftool say what hangs where for tcx, and `tc`
 * for clsact.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeFd, detachLink, getPinned, hasTcx, programsAt as tcxAt } from '../../../src/datapath/kernel/libbpf.ts';
import { HOOK } from './hook-choice.ts';
import { links, run } from './namespace.ts';

export { HOOK };

/** The programs are filters of clsact. */
export const BY_CLSACT = HOOK === 'clsact' || (HOOK === 'auto' && !hasTcx());

type Side = 'ingress' | 'egress';

/** A bpf filter as `tc` shows it. */
export interface ShownFilter {
  preference: number;
  handle: string;
  name: string;
  /** Kernel id of its program. */
  program: number;
}

/** The bpf filters of a device in the order in which they run. */
export function filtersAt(device: string, side: Side): ShownFilter[] {
  const shown = JSON.parse(run('tc', '-j', 'filter', 'show', 'dev', device, side) || '[]') as {
    kind: string;
    pref: number;
    options?: { handle?: string; bpf_name: string; prog: { id: number } };
  }[];
  return shown.flatMap(({ kind, pref, options }) =>
    kind === 'bpf' && options?.handle !== undefined
      ? [{ preference: pref, handle: options.handle, name: options.bpf_name, program: options.prog.id }]
      : [],
  );
}

function nameOf(ifindex: number): string | undefined {
  return links().find((device) => device.ifindex === ifindex)?.ifname;
}

/** Kernel ids of the programs at a hook, in the order in which they run. */
export function programsAt(ifindex: number, side: Side): number[] {
  if (!BY_CLSACT) {
    return tcxAt(ifindex, side);
  }
  const device = nameOf(ifindex);
  return device === undefined ? [] : filtersAt(device, side).map(({ program }) => program);
}

/** Takes one of our programs off its hook, as someone else would. */
export function takeOff(bpffs: string, ifindex: number, side: Side, program: string): void {
  if (BY_CLSACT) {
    const device = nameOf(ifindex)!;
    const filter = filtersAt(device, side).find(({ name }) => name.endsWith(`:${program}`))!;
    const which = ['pref', String(filter.preference), 'handle', filter.handle, 'bpf'];
    run('tc', 'filter', 'del', 'dev', device, side, ...which);
    return;
  }
  const fd = getPinned(join(bpffs, 'links', `${side}-${ifindex}-${program}`))!;
  detachLink(fd);
  closeFd(fd);
}

const LINK_IDS = join(import.meta.dirname, '../../../../../test/support/link_ids.py');

/**
 * Everything of ours that holds a program at a hook, and what stays the same of it when the program
 * is replaced.
 */
export function places(bpffs: string): Record<string, number> {
  if (BY_CLSACT) {
    const all = links().flatMap(({ ifname, ifindex }) =>
      (['ingress', 'egress'] as const).flatMap((side) =>
        filtersAt(ifname, side).map(({ name, handle }) => [`${side}-${ifindex}-${name.split(':')[1]}`, Number(handle)]),
      ),
    );
    return Object.fromEntries(all.sort());
  }
  const folder = join(bpffs, 'links');
  const names = readdirSync(folder).sort();
  const ids = JSON.parse(run('/usr/bin/python3', LINK_IDS, ...names.map((name) => join(folder, name)))) as number[];
  return Object.fromEntries(names.map((name, i) => [name, ids[i]!]));
}
