/** Looks in a world of `world.ts`, and what they see. */
import { until } from '@mirrorplane/base';
import { compileWords, LOOK_LIMITS } from '@mirrorplane/contract';
import type { Datapath, LookCounts, LookDrop, LookEntry, LookPacket } from '../../../src/datapath/datapath.ts';
import { link } from './namespace.ts';
import type { World } from './world.ts';

/** Milliseconds of CLOCK_MONOTONIC. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * A look at the VM of the world, at all places, that asks for everything. `words` as one writes
 * them.
 */
export function lookAt(
  { devices }: World,
  { words = '', ...more }: Partial<Omit<LookEntry, 'words'>> & { words?: string } = {},
): LookEntry {
  const { vm, far } = devices;
  const bridge = link('lan').ifindex;
  return {
    id: 'look',
    endsAt: monotonic() + 60_000,
    words: compileWords(words),
    length: LOOK_LIMITS.payloadBytes,
    packetRate: 1e6,
    byteRate: 1e9,
    hooks: [
      { ifindex: vm.ifindex, hook: 'ingress', place: 'sent' },
      { ifindex: vm.ifindex, hook: 'egress', place: 'delivered' },
    ],
    ports: [
      { ifindex: vm.ifindex, hook: 'ingress', bridge },
      { ifindex: far.ifindex, hook: 'ingress', bridge },
      { ifindex: bridge, hook: 'egress', bridge },
    ],
    guests: [{ bridge, mac: link('vmp').address, ifindex: vm.ifindex }],
    ...more,
  };
}

const NOTHING: LookCounts = { seen: 0, written: 0, overRate: 0, ringFull: 0, dropsHeard: 0, dropsLost: 0 };

/** What the looks of a data path have seen, read bit by bit. */
export class Watcher {
  counts = NOTHING;
  readonly #packets: LookPacket[] = [];
  readonly #drops: LookDrop[] = [];
  readonly #datapath: Datapath;

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
  }

  /**
   * Waits until a look has seen so many, and returns what was written for all looks since the last
   * call.
   */
  async expect(seen: number, look: string): Promise<LookPacket[]> {
    await this.#until(`${seen} packets of the look`, look, () => this.counts.seen >= seen);
    return this.#packets.splice(0);
  }

  /** Waits until it has heard so many drops, and returns what was told of them since the last call. */
  async expectDrops(heard: number, look: string): Promise<LookDrop[]> {
    await this.#until(`${heard} drops`, look, () => this.counts.dropsHeard >= heard);
    return this.#drops.splice(0);
  }

  async #until(what: string, look: string, isReached: () => boolean): Promise<void> {
    const read = async () => {
      const { packets, drops, counts } = await this.#datapath.readLooks(10_000);
      this.#packets.push(...packets);
      this.#drops.push(...drops);
      this.counts = counts.get(look) ?? NOTHING;
      return isReached();
    };
    await until(what, read).catch((error: Error) => {
      const told = this.#drops.map(({ reason, function: name }) => `${reason} in ${name}`);
      throw new Error(`${error.message}, there are ${JSON.stringify(this.counts)} ${told}`);
    });
    await read();
  }
}

/** How often each word comes. */
export function tally(words: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));
}
