/**
 * Reads what tcpdump has written so far, on all devices of a namespace (`-i any`) or on one, from
 * where it ended last.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** One packet as it passed a device. */
export interface Packet {
  /** Milliseconds since 1970. */
  at: number;
  ifindex: number;
  /** True where the host sent it on this device, false where the device received it. */
  out: boolean;
  /** Sender's MAC address. */
  sender: string;
  etherType: number;
  /** What follows the EtherType, as much of it as was kept. */
  body: Buffer;
  /** Bytes of `body` on the wire. */
  length: number;
}

/** Magic number of a pcap file with microseconds, in the byte order of this machine. */
const MAGIC = 0xa1b2c3d4;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** Link type of captures on all devices: Linux cooked mode, version 2 (LINKTYPE_LINUX_SLL2). */
const COOKED_2 = 276;
const COOKED_HEADER = 20;
/** Link type of captures on an Ethernet device. */
const ETHERNET = 1;
const ETHERNET_HEADER = 14;
const ARPHRD_ETHER = 1;
const PACKET_OUTGOING = 4;

/** Reads a growing pcap file piece by piece. */
export class PcapReader {
  readonly #file: string;
  readonly #device: number | undefined;
  #offset = 0;

  /**
   * @param device number of the one device that it is about, which only receives; left out: all
   *   devices, both ways.
   */
  constructor(file: string, device?: number) {
    this.#file = file;
    this.#device = device;
  }

  /** Bytes that have been read. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * The packets since the last call. One that is not wholly in the file yet comes with the next.
   */
  read(): Packet[] {
    const fd = openSync(this.#file, 'r');
    let data: Buffer;
    try {
      data = Buffer.alloc(fstatSync(fd).size - this.#offset);
      data = data.subarray(0, readSync(fd, data, 0, data.length, this.#offset));
    } finally {
      closeSync(fd);
    }
    let at = 0;
    if (this.#offset === 0) {
      if (data.length < FILE_HEADER) {
        return [];
      }
      const linkType = this.#device === undefined ? COOKED_2 : ETHERNET;
      if (data.readUInt32LE(0) !== MAGIC || data.readUInt32LE(20) !== linkType) {
        throw new Error(`${this.#file} is no capture of link type ${linkType}`);
      }
      at = FILE_HEADER;
    }
    const packets: Packet[] = [];
    while (at + RECORD_HEADER <= data.length) {
      const kept = data.readUInt32LE(at + 8);
      const end = at + RECORD_HEADER + kept;
      if (end > data.length) {
        break;
      }
      const record = data.subarray(at, end);
      const packet = this.#device === undefined ? cookedPacket(record) : ethernetPacket(record, this.#device);
      if (packet) {
        packets.push(packet);
      }
      at = end;
    }
    this.#offset += at;
    return packets;
  }
}

const timeOf = (record: Buffer) => record.readUInt32LE(0) * 1000 + record.readUInt32LE(4) / 1000;

function ethernetPacket(record: Buffer, ifindex: number): Packet {
  const frame = record.subarray(RECORD_HEADER);
  return {
    at: timeOf(record),
    ifindex,
    out: false,
    sender: frame.toString('hex', 6, 12),
    etherType: frame.readUInt16BE(12),
    body: frame.subarray(ETHERNET_HEADER),
    length: record.readUInt32LE(12) - ETHERNET_HEADER,
  };
}

function cookedPacket(record: Buffer): Packet | undefined {
  const cooked = record.subarray(RECORD_HEADER);
  if (cooked.readUInt16BE(8) !== ARPHRD_ETHER) {
    return undefined;
  }
  return {
    at: timeOf(record),
    etherType: cooked.readUInt16BE(0),
    ifindex: cooked.readUInt32BE(4),
    out: cooked[10] === PACKET_OUTGOING,
    sender: cooked.toString('hex', 12, 18),
    body: cooked.subarray(COOKED_HEADER),
    length: record.readUInt32LE(12) - COOKED_HEADER,
  };
}
