/**
 * Announces the node's address on the underlay by ARP. After a change of the NIC, a neighbour may
 * still have the old MAC address. It would send copies there until its kernel asks again, which
 * takes up to a minute.
 */
import type { Logger } from '../log.ts';
import { sendFrames } from '../netlink/packet-socket.ts';
import { ipv4Bytes } from '../netlink/rtnetlink.ts';
import { type UnderlayState, underlayEnd } from './underlay.ts';

/** The end of the underlay that is announced. */
export interface Announced {
  ifindex: number;
  /** Of the device, lower case with colons. */
  mac: string;
  /** IPv4 address. */
  address: string;
}

/** Announces an address once for every change that neighbours must learn. */
export class Announcer {
  readonly #announce: (underlay: Announced) => void;
  readonly #log: Logger;
  #announced = '';

  /**
   * @param announce sends the announcement. An error is logged, and the announcement is not
   *   repeated
   */
  constructor(announce: (underlay: Announced) => void, log: Logger) {
    this.#announce = announce;
    this.#log = log;
  }

  /** Announces the underlay if it is up, and not as it was before. */
  look(state: UnderlayState): void {
    const end = underlayEnd(state);
    const isUp = state.underlay !== undefined && state.up;
    try {
      this.#changed(isUp ? end : undefined);
    } catch (error) {
      this.#log.warn({ device: end?.device, err: error }, 'underlay could not be announced');
    }
  }

  #changed(underlay: Announced | undefined): void {
    const now = underlay === undefined ? '' : [underlay.ifindex, underlay.mac, underlay.address].join();
    if (now === this.#announced) {
      return;
    }
    this.#announced = now;
    if (underlay !== undefined) {
      this.#announce(underlay);
    }
  }
}

const BROADCAST = Buffer.alloc(6, 0xff);

/** The frame of an ARP announcement: a request for the own address (RFC 5227, 3). */
export function announcement({ mac, address }: Announced): Buffer {
  const own = Buffer.from(mac.replaceAll(':', ''), 'hex');
  // EtherType ARP; hardware Ethernet, protocol IPv4, their lengths, request.
  const fixed = Buffer.from([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
  const ip = ipv4Bytes(address);
  return Buffer.concat([BROADCAST, own, fixed, own, ip, Buffer.alloc(6), ip]);
}

/** Sends the announcement. @throws Error if the kernel refuses */
export function announce(underlay: Announced): void {
  sendFrames(underlay.ifindex, [announcement(underlay)]);
}
