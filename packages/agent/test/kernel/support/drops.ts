/** Looks that hear drops, in a world of `world.ts` whose guest ends take what they get. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DatapathState, LookCounts, LookDrop, LookPacket } from '../../../src/datapath/datapath.ts';
import { lookAt, tally, Watcher } from './looks.ts';
import { run } from './namespace.ts';
import { ETH_P_ALL, RawSocket } from './raw-socket.ts';
import { stateOf, type World } from './world.ts';

/** EtherType for experiments (IEEE 802). */
const EXPERIMENT = '88b5';

/** A frame with a number, of `length` bytes. */
export function frame(to: string, from: string, number: number, length = 90): Buffer {
  const rest = Buffer.alloc(length - 14, number & 0xff);
  rest.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(`${to}${from}${EXPERIMENT}`, 'hex'), rest]);
}

/** The number of such a frame. */
export const numberOf = ({ bytes }: { bytes: Buffer }) => bytes.readUInt32BE(14);

/** A look, and what it sees and hears. */
export interface HearingLook {
  id: string;
  counts(): LookCounts;
  /** Waits until it has seen so many, and returns what was written of them since the last call. */
  packets(seen: number): Promise<LookPacket[]>;
  /** Waits until it has heard so many drops, and returns what was told since the last call. */
  drops(heard: number): Promise<LookDrop[]>;
}

/**
 * Milliseconds of a period of HEARD_PERIOD in hear.h, and a tick. All looks of a CPU share what may
 * be told in one.
 */
const PERIOD_MS = 110;
let runs = 0;
let newPeriodAt = 0;

/** Waits until the drops that were told before do not count in the rate of what comes now. */
export async function newPeriod(): Promise<void> {
  await until('a new period of drops', () => performance.now() >= newPeriodAt);
}

/** Begins a look at the guest of the world, in a new period, with what else is in force. */
export async function hear(world: World, state: Partial<DatapathState> = {}): Promise<HearingLook> {
  await newPeriod();
  const id = `heard-${process.pid}-${++runs}`;
  const { unseen, unheard } = await world.datapath.apply(stateOf({ ...state, looks: [lookAt(world, { id })] }));
  assert.deepEqual([unseen, unheard], [[], undefined]);
  const watcher = new Watcher(world.datapath);
  return {
    id,
    counts: () => watcher.counts,
    packets: (seen) => watcher.expect(seen, id),
    drops: async (heard) => {
      const drops = await watcher.expectDrops(heard, id);
      newPeriodAt = performance.now() + PERIOD_MS;
      return drops;
    },
  };
}

/**
 * Takes what comes to both ends behind the devices of a world, so that no frame ends there because
 * nobody wants it.
 */
export function useListeners(): void {
  const sockets: RawSocket[] = [];
  before(() => void sockets.push(new RawSocket('vmp', ETH_P_ALL), new RawSocket('farp', ETH_P_ALL)));
  after(() => {
    for (const socket of sockets) {
      socket.close();
    }
  });
}

/** How often each cause was told of each device. */
export function causesOf(drops: readonly LookDrop[]): Record<string, number> {
  return tally(drops.map(({ cause, ifindex }) => `${cause} ${ifindex}`));
}

/** Packets that rules with a counter have dropped in table `t` of bridges. */
export function countedByRules(): number {
  const found = run('nft', 'list', 'table', 'bridge', 't').matchAll(/counter packets (\d+) bytes \d+ drop/g);
  return [...found].reduce((sum, [, packets]) => sum + Number(packets), 0);
}

/** Packets that the qdiscs of a device have dropped, those inside others left out. */
export function countedByQdisc(device: string): number {
  return Number(/dropped (\d+)/.exec(run('tc', '-s', 'qdisc', 'show', 'dev', device))![1]);
}
