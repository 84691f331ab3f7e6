/** Which interface a packet of a look belongs to, and the name of the device where it was seen. */
import type { LookUnseen } from '@mirrorplane/contract';
import type { Hook, LookEntry, LookGap, LookPacket } from '../datapath/datapath.ts';
import type { NodeDevice } from '../discovery/devices.ts';

/** The owner of a packet. */
export interface PacketOwner {
  interface: string;
  device: string;
}

/** The parts of a device that names are made of. */
type Known = Pick<NodeDevice, 'ifindex' | 'identity'>;
type Named = Pick<NodeDevice, 'ifindex' | 'name'>;

/** Devices that are remembered, at most: those of a node whose guests come and go. */
const MAX_DEVICES = 65_536;
/** Bytes of a link-layer address, the first ones of a frame. */
const MAC_BYTES = 6;

/**
 * Knows the devices of all looks since the first one began. What a device that is gone has seen
 * last is read after it is gone.
 */
export class LookNames {
  readonly #names = new Map<number, string>();
  readonly #interfaces = new Map<number, string>();
  readonly #bridgeOf = new Map<number, number>();
  readonly #guests = new Map<string, number>();
  /** Of each look, the devices of its guests at each bridge. */
  readonly #guestsAt = new Map<string, Set<number>>();
  readonly #directions = new Map<string, LookUnseen['direction']>();

  /** Looks as the data path shall have them. Without looks, everything is forgotten. */
  learn(looks: readonly LookEntry[], devices: readonly Known[], links: readonly Named[]): void {
    if (looks.length === 0 || this.#names.size > MAX_DEVICES) {
      for (const known of [
        this.#names,
        this.#interfaces,
        this.#bridgeOf,
        this.#guests,
        this.#guestsAt,
        this.#directions,
      ]) {
        known.clear();
      }
    }
    if (looks.length === 0) {
      return;
    }
    for (const { ifindex, name } of links) {
      this.#names.set(ifindex, name);
    }
    for (const { ifindex, identity } of devices) {
      if (identity) {
        this.#interfaces.set(ifindex, identity.id);
      }
    }
    for (const { id, hooks, ports = [], guests = [] } of looks) {
      for (const { ifindex, hook, place } of hooks) {
        this.#directions.set(hookKey(ifindex, hook), place === 'sent' ? 'outbound' : 'inbound');
      }
      for (const { ifindex, bridge } of ports) {
        this.#bridgeOf.set(ifindex, bridge);
      }
      for (const { bridge, mac, ifindex } of guests) {
        this.#guests.set(guestKey(bridge, mac), ifindex);
        this.#guestsAt.set(lookKey(id, bridge), (this.#guestsAt.get(lookKey(id, bridge)) ?? new Set()).add(ifindex));
      }
    }
  }

  /**
   * The interface of a packet, and the device. A packet that arrives at a bridge is of the guest
   * that it is for; one for all, as a question of ARP, is of a guest of the look that is there.
   * Undefined: the device is not known.
   */
  of({
    look,
    place,
    ifindex,
    bytes,
  }: Pick<LookPacket, 'look' | 'place' | 'ifindex' | 'bytes'>): PacketOwner | undefined {
    const bridge = place === 'arrived' ? this.#bridgeOf.get(ifindex) : undefined;
    const guest = bridge === undefined ? undefined : this.#guestOf(look, bridge, ifindex, bytes);
    const id = this.#interfaces.get(guest ?? ifindex);
    return id === undefined ? undefined : { interface: id, device: this.#nameOf(ifindex) };
  }

  #guestOf(look: string, bridge: number, port: number, bytes: LookPacket['bytes']): number | undefined {
    const ours = this.#guestsAt.get(lookKey(look, bridge));
    const found = this.#guests.get(guestKey(bridge, macOf(bytes)));
    // A guest of another look alone is none of this look, which may see the port for itself.
    const known = found !== undefined && ours?.has(found) ? found : undefined;
    const isForAll = (bytes[0]! & 1) === 1;
    const all = isForAll ? [...(ours ?? [])] : [];
    return known ?? all.find((ifindex) => ifindex !== port);
  }

  /** Of a device; empty: none. */
  deviceOf(ifindex: number): string {
    return ifindex === 0 ? '' : this.#nameOf(ifindex);
  }

  /** Places without sight, by the names of their devices. A device is named once. */
  unseen(gaps: readonly LookGap[]): LookUnseen[] {
    const byDevice = Map.groupBy(gaps, ({ ifindex, message }) => `${ifindex} ${message}`);
    return [...byDevice.values()].map(([first, ...others]) => {
      const { ifindex, hook, message } = first!;
      const direction = others.length > 0 ? undefined : this.#directions.get(hookKey(ifindex, hook));
      return { device: this.#nameOf(ifindex), ...(direction && { direction }), message };
    });
  }

  #nameOf(ifindex: number): string {
    return this.#names.get(ifindex) ?? `ifindex ${ifindex}`;
  }
}

const hookKey = (ifindex: number, hook: Hook) => `${ifindex} ${hook}`;
const guestKey = (bridge: number, mac: string) => `${bridge} ${mac}`;
const lookKey = (look: string, bridge: number) => `${look} ${bridge}`;

const macOf = (frame: Buffer) => frame.toString('hex', 0, MAC_BYTES).replace(/..(?!$)/g, '$&:');
