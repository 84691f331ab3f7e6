/**
 * A node in the namespace of the test: a bridge between a VM (`vm`, its guest end `vmp`) and
 * another host (`far`, `farp`), a destination (`dst`, `dstp`), a bystander (`by`, `byp`) and an
 * underlay (`und`, `undp`).
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import type { CaptureCounts, CaptureReport, CounterReport } from '@mirrorplane/contract';
import type {
  Datapath,
  DatapathState,
  DeliveryEntry,
  EdgeDeliveryEntry,
  ErspanDeliveryEntry,
  HookCapture,
  TerminationEntry,
} from '../../../src/datapath/datapath.ts';
import {
  addBridge,
  addVeth,
  enterOwnNamespace,
  leftPins,
  link,
  newDatapath,
  run,
  underlay,
  type Veth,
} from './namespace.ts';
import { RawSocket } from './raw-socket.ts';

export const OWN_ADDRESS = '10.98.0.1';
export const OTHER_ADDRESS = '10.98.0.2';
export const SESSION = 7;
export const SOURCE_SLOT = 5;
/** A percent of 100. */
export const ALL = 2 ** 32;

const DEVICES = ['vm', 'far', 'dst', 'by', 'und'] as const;
type DeviceName = (typeof DEVICES)[number];

export interface World {
  devices: Record<DeviceName, Veth>;
  bpffs: string;
  datapath: Datapath;
  /** Link-layer addresses of the two ends of the underlay. */
  nextHop: { sourceMac: string; destinationMac: string };
  /**
   * Raw sockets at the guest end of the VM, at the other host, and at the VM's device on the node.
   */
  guest: RawSocket;
  far: RawSocket;
  host: RawSocket;
  /** At the other end of the underlay. */
  wire: RawSocket;
  close(): Promise<void>;
}

/**
 * A world for all tests of a file, in a separate network namespace. It is removed after all tests,
 * and a check asserts that nothing of ours is left.
 */
export async function useWorld(options: WorldOptions = {}): Promise<World> {
  let world: World | undefined;
  after(async () => {
    await world?.close();
    assert.deepEqual(leftPins(), []);
  });
  enterOwnNamespace();
  world = await createWorld(options);
  return world;
}

/** Other devices than those of a world, for all tests of a file. */
export interface Network {
  datapath: Datapath;
  /** The raw socket at a device. */
  socket(device: string): RawSocket;
}

interface NetworkOptions {
  /** Names of veth pairs, with what they need. There is an underlay `und` beside them. */
  devices: Readonly<Record<string, { mtu?: number }>>;
  /** Ports of the bridge `lan`. */
  bridge: string[];
  /** Devices with a raw socket. */
  sockets: readonly string[];
}

/** As `useWorld`, with other devices. */
export async function useNetwork({ devices, bridge, sockets: places }: NetworkOptions): Promise<Network> {
  const sockets = new Map<string, RawSocket>();
  const { datapath } = newDatapath();
  after(async () => {
    for (const socket of sockets.values()) {
      socket.close();
    }
    await datapath.uninstall();
    assert.deepEqual(leftPins(), []);
  });
  enterOwnNamespace();
  for (const [name, options] of Object.entries({ ...devices, und: {} })) {
    addVeth(name, options);
  }
  addBridge('lan', bridge);
  underlay('und', OWN_ADDRESS, OTHER_ADDRESS, link('undp').address);
  await datapath.open();
  for (const place of places) {
    sockets.set(place, new RawSocket(place));
  }
  return { datapath, socket: (device) => sockets.get(device)! };
}

interface WorldOptions {
  /** Bytes. Default 1500 */
  underlayMtu?: number;
}

/** Makes everything, and opens the data path. */
async function createWorld(options: WorldOptions): Promise<World> {
  const devices = {} as Record<DeviceName, Veth>;
  for (const name of DEVICES) {
    devices[name] = addVeth(name, name === 'und' ? { mtu: options.underlayMtu ?? 1500 } : {});
  }
  addBridge('lan', ['vm', 'far']);
  const nextHop = { sourceMac: devices.und.mac, destinationMac: link('undp').address };
  underlay('und', OWN_ADDRESS, OTHER_ADDRESS, nextHop.destinationMac);
  const { bpffs, datapath } = newDatapath();
  await datapath.open();
  const sockets = {
    guest: new RawSocket('vmp'),
    far: new RawSocket('farp'),
    host: new RawSocket('vm'),
    wire: new RawSocket('undp'),
  };
  return {
    devices,
    bpffs,
    datapath,
    nextHop,
    ...sockets,
    async close() {
      for (const socket of Object.values(sockets)) {
        socket.close();
      }
      await datapath.uninstall();
      for (const name of ['lan', ...DEVICES]) {
        run('sh', '-c', `ip link del ${name} 2>/dev/null || true`);
      }
    },
  };
}

/** What the VM sends (ingress) and receives (egress), both to one delivery. */
export function capturesOf(device: number, delivery: string, more: Partial<HookCapture> = {}): HookCapture[] {
  return (['outbound', 'inbound'] as const).map((direction) => ({
    id: `${more.policy ?? 'p'}/${more.source ?? 's'}/${direction}`,
    policy: 'p',
    source: 's',
    direction,
    ifindex: device,
    hook: direction === 'outbound' ? 'ingress' : 'egress',
    threshold: ALL,
    skipVlanId: 0,
    sourceSlot: SOURCE_SLOT,
    delivery,
    ...more,
  }));
}

export function localTo(device: number, more: { id?: string; mtu?: number } = {}): DeliveryEntry {
  return { id: 'L', policy: 'p', kind: 'local', ifindex: device, mtu: 1500, ...more };
}

export function edgeTo(device: number, more: Partial<EdgeDeliveryEntry> = {}): EdgeDeliveryEntry {
  return { id: 'V', policy: 'p', kind: 'edge', ifindex: device, mtu: 1500, vlanId: 100, ...more };
}

export function erspanOver(world: World, more: Partial<ErspanDeliveryEntry> = {}): ErspanDeliveryEntry {
  return {
    id: 'E',
    policy: 'p',
    kind: 'erspan',
    ifindex: world.devices.und.ifindex,
    mtu: 1500,
    sourceAddress: OWN_ADDRESS,
    address: OTHER_ADDRESS,
    session: SESSION,
    generation: 0,
    ...more,
  };
}

/** ERSPAN of the other node for this one becomes `delivery`. */
export function erspanFrom(delivery: string, more: Partial<TerminationEntry> = {}): TerminationEntry {
  return {
    id: 'T',
    policy: 'p',
    node: 'other',
    address: OTHER_ADDRESS,
    ownAddress: OWN_ADDRESS,
    session: SESSION,
    generation: 0,
    delivery,
    ...more,
  };
}

export function stateOf(more: Partial<DatapathState>): DatapathState {
  return { captures: [], deliveries: [], terminations: [], mirrorDevice: 0, ...more };
}

/** The counts of one direction, of the named source if there are several. */
export function countsOf(report: CounterReport, direction: CaptureReport['direction'], source = 's'): CaptureCounts {
  const found = report.captures.find((capture) => capture.direction === direction && capture.source === source);
  assert.ok(found, `no counts of ${source} ${direction}`);
  return found.counts;
}

/**
 * matched = sampledOut + copied + dropped, in packets and bytes, for each capture; likewise for
 * terminations.
 */
export function assertSumsClose(report: CounterReport): void {
  for (const { source, direction, counts } of report.captures) {
    for (const unit of ['packets', 'bytes'] as const) {
      const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + count[unit], 0);
      const message = `${source} ${direction} ${unit}: ${JSON.stringify(counts)}`;
      assert.equal(counts.matched[unit], counts.sampledOut[unit] + counts.copied[unit] + dropped, message);
    }
  }
  for (const { termination, received, delivered, relayed, dropped } of report.terminations) {
    for (const unit of ['packets', 'bytes'] as const) {
      const sum = Object.values(dropped).reduce((total, count) => total + count[unit], 0);
      assert.equal(received[unit], delivered[unit] + relayed[unit] + sum, `${termination} ${unit}`);
    }
  }
}

/** The difference between two reports of one capture, for the counts that every packet moves. */
export function difference(before: CaptureCounts, after: CaptureCounts) {
  const minus = (key: 'matched' | 'sampledOut' | 'copied' | 'truncated') => ({
    packets: after[key].packets - before[key].packets,
    bytes: after[key].bytes - before[key].bytes,
  });
  return {
    matched: minus('matched'),
    sampledOut: minus('sampledOut'),
    copied: minus('copied'),
    truncated: minus('truncated'),
  };
}

/** Packets and bytes of a list of frames. */
export function countOf(frames: readonly Buffer[]): { packets: number; bytes: number } {
  return { packets: frames.length, bytes: frames.reduce((sum, frame) => sum + frame.length, 0) };
}

/** Compares frames as a multiset, and shows them in hex. Two CPUs do not keep an order. */
export function assertSameFrames(actual: readonly Buffer[], expected: readonly Buffer[], what: string): void {
  const hex = (frames: readonly Buffer[]) => frames.map((frame) => frame.toString('hex')).sort();
  assert.deepEqual(hex(actual), hex(expected), what);
}
