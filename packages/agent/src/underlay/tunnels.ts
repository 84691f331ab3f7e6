/** The WireGuard devices of this node: its keys, a device for each key in use, and their peers. */
import { type NodeProgram, type Underlay, WIREGUARD_OVERHEAD } from '@mirrorplane/contract';
import { MAX_TUNNELS } from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import { NetlinkError } from '../netlink/rtnetlink.ts';
import { Wireguard } from '../netlink/wireguard.ts';
import { type KeyFile, type NodeKey, renewKeys } from './keys.ts';
import { ownKeys, peersOf } from './peers.ts';
import { removeTunnels, TunnelDevice, tunnelName } from './tunnel-device.ts';

/** The device of a key, or why there is none. */
export type TunnelState = { ifindex: number } | { why: string };

export interface TunnelParts {
  client: RtClient;
  keys: KeyFile;
  /** The device of slot 0 uses this UDP port, and that of slot 1 the next one. */
  port: number;
  log: Logger;
  /** The kernel's WireGuard. Default the real one. */
  wireguard?: Wireguard;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/**
 * Before a program is carried out, `ensure` makes what it needs. Afterwards, `retain` removes what
 * it no longer needs. So copies always find their peer.
 */
export class Tunnels {
  readonly #parts: TunnelParts;
  readonly #wireguard: Wireguard;
  readonly #devices: readonly TunnelDevice[];
  readonly #now: () => number;
  #keys: readonly NodeKey[] = [];
  #isSupported = false;
  #hasLooked = false;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
    this.#wireguard = parts.wireguard ?? new Wireguard();
    this.#now = parts.now ?? Date.now;
    const slots = Array.from({ length: MAX_TUNNELS }, (_, slot) => slot);
    this.#devices = slots.map((slot) => new TunnelDevice(parts.client, this.#wireguard, slot));
  }

  /**
   * Loads the keys, and makes the first one. A key that cannot be read is replaced. Without WireGuard
   * in the kernel, the node has none and reports none.
   * @throws Error if the file of the keys cannot be written
   */
  async open(): Promise<void> {
    const { keys, log } = this.#parts;
    try {
      this.#keys = await keys.load();
    } catch (error) {
      log.warn({ reason: reason(error) }, 'the node makes another key for copies');
    }
    try {
      this.#wireguard.require();
      this.#isSupported = true;
    } catch (error) {
      log.info({ reason: reason(error) }, 'copies cannot be encrypted on this node');
      return;
    }
    await this.#renew(undefined);
  }

  /** Adds the newest key to what the node reports of its underlay. */
  addTo(underlay: Underlay): Underlay {
    const newest = this.#isSupported ? this.#keys.at(-1) : undefined;
    return newest === undefined
      ? underlay
      : { ...underlay, wireguard: { publicKey: newest.publicKey, port: this.#portOf(newest) } };
  }

  /**
   * Makes the devices that a program needs, and adds their peers.
   * @param mtu of the mirror device
   * @returns by own public key
   */
  async ensure(program: NodeProgram, mtu: number): Promise<ReadonlyMap<string, TunnelState>> {
    if (this.#isSupported) {
      await this.#renew(ownKeys(program)).catch((error: unknown) => {
        this.#parts.log.warn({ reason: reason(error) }, 'the keys of copies stay as they are');
      });
    }
    const states = new Map<string, TunnelState>();
    for (const [publicKey, peers] of peersOf(program)) {
      const key = this.#keys.find((one) => one.publicKey === publicKey);
      const why = this.#isSupported
        ? 'the node no longer has the key that its program names'
        : 'the kernel has no WireGuard';
      states.set(publicKey, key ? await this.#ensureOne(key, mtu, peers) : { why });
    }
    return states;
  }

  /**
   * Removes devices and peers that the program does not need. Call it when the program is in force.
   * What cannot be removed is tried again with the next call.
   */
  async retain(program: NodeProgram): Promise<void> {
    if (!this.#isSupported) {
      return;
    }
    await this.#retain(peersOf(program)).catch((error: unknown) => {
      this.#parts.log.debug({ reason: reason(error) }, 'a tunnel that nothing needs stays');
    });
  }

  async #retain(needed: ReturnType<typeof peersOf>): Promise<void> {
    for (const [slot, device] of this.#devices.entries()) {
      const key = this.#keys.find((one) => one.slot === slot);
      const peers = key && needed.get(key.publicKey);
      await device.retain(peers ?? new Map(), this.#now());
    }
    if (!this.#hasLooked) {
      this.#hasLooked = true; // an earlier agent may have left devices
      await removeTunnels(this.#parts.client, new Set(this.#devices.map(({ ifindex }) => ifindex)));
    }
  }

  close(): void {
    this.#wireguard.close();
  }

  async #ensureOne(
    key: NodeKey,
    mtu: number,
    peers: Parameters<TunnelDevice['ensure']>[0]['peers'],
  ): Promise<TunnelState> {
    const port = this.#portOf(key);
    try {
      const wish = { key, port, mtu: mtu - WIREGUARD_OVERHEAD, peers };
      return { ifindex: await this.#devices[key.slot]!.ensure(wish) };
    } catch (error) {
      const isTaken = error instanceof NetlinkError && error.code === 'EADDRINUSE';
      const why = isTaken
        ? `UDP port ${port} is in use: end the program that has it, or give the agent another one with --wireguard-port`
        : `${tunnelName(key.slot)} cannot be used: ${reason(error)}`;
      this.#parts.log.debug({ reason: why }, 'no tunnel');
      return { why };
    }
  }

  #portOf({ slot }: NodeKey): number {
    return this.#parts.port + slot;
  }

  async #renew(used: ReadonlySet<string> | undefined): Promise<void> {
    const keys = renewKeys(this.#keys, used, this.#now());
    if (keys === this.#keys) {
      return;
    }
    await this.#parts.keys.save(keys);
    this.#keys = keys;
    this.#parts.log.info({ publicKey: keys.at(-1)?.publicKey, keys: keys.length }, 'keys of copies changed');
  }
}
