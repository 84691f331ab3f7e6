/** Network devices of a test that runs in a network namespace of its own (`unshare -n`). */

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createKernelDatapath } from '../../../src/datapath/kernel/index.ts';
import { HOOK } from './hook-choice.ts';

const BPFFS = '/sys/fs/bpf';
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * Runs a program, and returns what it prints.
 * @throws Error with its standard error where it fails.
 */
export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 });
}

/** Fails in the namespace of the caller, silences IPv6, and mounts bpffs where it is missing. */
export function enterOwnNamespace(): void {
  if (!isOwnNamespace()) {
    throw new Error('this test changes network devices: run it as "unshare -n node --test FILE"');
  }
  quiet();
  run('ip', 'link', 'set', 'lo', 'up');
  if (statfsSync(BPFFS).type !== BPF_FS_MAGIC) {
    run('mount', '-t', 'bpf', 'bpf', BPFFS);
  }
  removeStale();
}

/** Removes what a run left that was killed: bpffs outlives the namespace. */
function removeStale(): void {
  for (const name of readdirSync(BPFFS)) {
    const pid = /^mirrorplane-test-(\d+)-/.exec(name)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) {
      rmSync(`${BPFFS}/${name}`, { recursive: true, force: true });
    }
  }
}

/**
 * Whether any process above this one lives in another network namespace. Process 1 may not be
 * readable.
 */
function isOwnNamespace(): boolean {
  const own = readlinkSync('/proc/self/ns/net');
  for (let pid = process.ppid; pid > 0; ) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) !== own) {
        return true;
      }
      pid = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    } catch {
      return false;
    }
  }
  return false;
}

function quiet(): void {
  for (const scope of ['all', 'default']) {
    const sysctl = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
    if (existsSync(sysctl)) {
      writeFileSync(sysctl, '1');
    }
  }
}

let folders = 0;

/** A folder on bpffs that no other run uses. Nothing is made yet. */
export function bpffsFolder(): string {
  folders++;
  return `${BPFFS}/mirrorplane-test-${process.pid}-${folders}`;
}

/** A data path on a folder of its own. */
export function newDatapath() {
  const bpffs = bpffsFolder();
  return { bpffs, datapath: createKernelDatapath({ hook: HOOK, bpffs }) };
}

/** One end of a veth pair; `peer` is the name of the other. */
export interface Veth {
  name: string;
  peer: string;
  ifindex: number;
  mac: string;
}

interface IpLink {
  ifindex: number;
  ifname: string;
  address: string;
  mtu: number;
}

export function links(): IpLink[] {
  return JSON.parse(run('ip', '-json', 'link', 'show')) as IpLink[];
}

export function link(name: string): IpLink {
  const found = links().find(({ ifname }) => ifname === name);
  if (!found) {
    throw new Error(`no device ${name}`);
  }
  return found;
}

/** Makes a veth pair NAME and NAMEp, both up. */
export function addVeth(name: string, options: { mtu?: number } = {}): Veth {
  const peer = `${name}p`;
  run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer);
  for (const device of [name, peer]) {
    run('ip', 'link', 'set', device, 'mtu', String(options.mtu ?? 1500), 'up');
  }
  const { ifindex, address } = link(name);
  return { name, peer, ifindex, mac: address };
}

/**
 * A bridge of the given ports that forwards every frame, those of its own protocols too, as far as
 * the kernel allows.
 */
export function addBridge(name: string, ports: string[]): void {
  // Else netfilter trims and drops IP packets on a bridge.
  for (const family of ['ip', 'ip6', 'arp']) {
    const sysctl = `/proc/sys/net/bridge/bridge-nf-call-${family}tables`;
    if (existsSync(sysctl)) {
      writeFileSync(sysctl, '0');
    }
  }
  run('ip', 'link', 'add', name, 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0', 'group_fwd_mask', '0x4000');
  for (const port of ports) {
    run('ip', 'link', 'set', port, 'master', name);
  }
  run('ip', 'link', 'set', name, 'up');
}

/** Frames leave by this device in segments, as they would on a wire. */
export function segmentInSoftware(...devices: string[]): void {
  for (const device of devices) {
    run('ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'tx', 'off', 'gro', 'off');
  }
}

/**
 * Gives `device` an address, and the address on its other end a neighbour entry that needs no ARP.
 */
export function underlay(device: string, own: string, other: string, otherMac: string): void {
  run('ip', 'addr', 'add', `${own}/24`, 'dev', device);
  run('ip', 'neigh', 'replace', other, 'lladdr', otherMac, 'dev', device, 'nud', 'permanent');
}

/** A further, anonymous network namespace, that of process `pid`. */
export interface Namespace {
  pid: number;
  run(program: string, ...args: string[]): string;
  /** Moves a device of the own namespace here. */
  adopt(device: string): void;
  close(): void;
}

export async function addNamespace(): Promise<Namespace> {
  const child = spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec sleep 300'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pid = child.pid!;
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const inside = (...args: string[]) => run('nsenter', '-t', String(pid), '-n', ...args);
  inside('sh', '-c', 'for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6 || true; done');
  inside('ip', 'link', 'set', 'lo', 'up');
  const adopt = (device: string) => void run('ip', 'link', 'set', device, 'netns', String(pid));
  return { pid, run: inside, adopt, close: () => child.kill('SIGKILL') };
}

/** Folders of this run that are left on bpffs: none after a test has cleaned up. */
export function leftPins(): string[] {
  return readdirSync(BPFFS).filter((name) => name.startsWith(`mirrorplane-test-${process.pid}-`));
}
