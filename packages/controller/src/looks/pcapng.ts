/**
 * Packets of a look as a pcapng file, for Wireshark. It carries what a plain capture cannot: where
 * each packet was seen, what became of its copy and of itself, and how many the look lost.
 *
 * Blocks and options are those of draft-ietf-opsawg-pcapng. All numbers are little-endian.
 */
import { printable } from '@mirrorplane/base';
import type { LookedPacket } from '@mirrorplane/contract';
import { fatesInWords } from './fates-in-words.ts';
import type { KeptPacket } from './kept-packet.ts';

const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const LINKTYPE_ETHERNET = 1;

/** Of every block. */
const COMMENT = 1;
const SECTION = { userApplication: 4 };
const INTERFACE = { name: 2, description: 3, timeResolution: 9 };
const PACKET = { flags: 2, dropCount: 4, id: 5, verdict: 7 };

/** Units of time are 10^-6 s. */
const MICROSECONDS = 6;
/** The lowest bits of `epb_flags`, as the guest sees it. */
const FLAG_OF_DIRECTION = { inbound: 1, outbound: 2 };
/** Octet that begins `epb_verdict`: what follows is a verdict of a BPF program of tc. */
const VERDICT_OF_TC = 1;
/** As in linux/pkt_cls.h. */
const TC_ACT_OF_ORIGINAL = { delivered: 0n, seenLater: 0n, dropped: 2n, unknown: -1n };
/** The draft gives the length of an option 16 bits. */
const MAX_TEXT = 4096;
/** Comments that a file keeps to write them again. */
const MAX_COMMENTS = 1000;

/**
 * Makes a file block by block. All it keeps is which interfaces the file has: one for each place,
 * device and interface that packets come from, so their number is bounded by the look.
 */
export class PcapngWriter {
  readonly #interfaces = new Map<string, number>();
  /** Comments as options: most packets have the same few. */
  readonly #comments = new Map<string, Buffer>();
  readonly #interfaceDescription: string | undefined;

  /** @param interfaceDescription of every interface. Default: its device and id */
  constructor({ interfaceDescription }: { interfaceDescription?: string } = {}) {
    this.#interfaceDescription = interfaceDescription;
  }

  /** The block that a file begins with. `comment` says what the file is. */
  start(comment: string): Buffer {
    const fixed = Buffer.alloc(16);
    fixed.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
    fixed.writeUInt16LE(1, 4);
    fixed.writeUInt16LE(0, 6);
    // The length of the section is not known.
    fixed.writeBigInt64LE(-1n, 8);
    return block(SECTION_HEADER, [
      fixed,
      ...options([text(COMMENT, comment), text(SECTION.userApplication, 'Mirrorplane')]),
    ]);
  }

  /** A packet, and before it the description of its interface where the file has none yet. */
  packet(packet: KeptPacket): Buffer {
    const key = [packet.node, packet.device, packet.place, packet.interface].join('\0');
    const known = this.#interfaces.get(key);
    const number = known ?? this.#interfaces.size;
    const written = packetBlock(packet, number, this.#commentOf(fatesInWords(packet)));
    if (known !== undefined) {
      return written;
    }
    this.#interfaces.set(key, number);
    return Buffer.concat([interfaceBlock(packet, this.#interfaceDescription), written]);
  }

  #commentOf(words: string): Buffer {
    const known = this.#comments.get(words);
    if (known !== undefined) {
      return known;
    }
    if (this.#comments.size >= MAX_COMMENTS) {
      this.#comments.clear();
    }
    const made = text(COMMENT, words);
    this.#comments.set(words, made);
    return made;
  }
}

/** As `web-1/0 on node-1 (arrived)`. */
function interfaceBlock(packet: LookedPacket, description: string | undefined): Buffer {
  const { interface: id, interfaceName, node, device, place } = packet;
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  // No limit: a look says for each packet how much of it there is.
  fixed.writeUInt32LE(0, 4);
  return block(INTERFACE_DESCRIPTION, [
    fixed,
    ...options([
      text(INTERFACE.name, `${interfaceName || id} on ${node} (${place})`),
      text(INTERFACE.description, description ?? `device ${device} of interface ${id}`),
      option(INTERFACE.timeResolution, Buffer.of(MICROSECONDS)),
    ]),
  ]);
}

/** Written in one piece: a look at full rate has thousands of packets a second. */
function packetBlock(packet: KeptPacket, number: number, comment: Buffer): Buffer {
  const { bytes, at, length, lostBefore, packet: id } = packet;
  const captured = bytes.length + (-bytes.length & 3);
  const total = 32 + captured + comment.length + 8 + (lostBefore > 0 ? 12 : 0) + (id === undefined ? 0 : 12) + 16 + 4;
  const written = Buffer.alloc(total);
  written.writeUInt32LE(ENHANCED_PACKET, 0);
  written.writeUInt32LE(total, 4);
  written.writeUInt32LE(number, 8);
  written.writeUInt32LE(Math.floor(at / 2 ** 32), 12);
  written.writeUInt32LE(at % 2 ** 32, 16);
  written.writeUInt32LE(bytes.length, 20);
  written.writeUInt32LE(Math.max(length, bytes.length), 24);
  written.set(bytes, 28);
  let end = 28 + captured;
  written.set(comment, end);
  end += comment.length;
  end = optionHead(written, end, PACKET.flags, 4);
  end = written.writeUInt32LE(FLAG_OF_DIRECTION[packet.direction], end);
  if (lostBefore > 0) {
    end = optionHead(written, end, PACKET.dropCount, 8);
    end = written.writeBigUInt64LE(BigInt(lostBefore), end);
  }
  if (id !== undefined) {
    end = optionHead(written, end, PACKET.id, 8);
    end = written.writeUInt32LE(Number.parseInt(id.slice(8), 16), end);
    end = written.writeUInt32LE(Number.parseInt(id.slice(0, 8), 16), end);
  }
  end = optionHead(written, end, PACKET.verdict, 9);
  written[end] = VERDICT_OF_TC;
  written.writeBigInt64LE(TC_ACT_OF_ORIGINAL[packet.original.state], end + 1);
  // The verdict is padded, and the options end with zeros.
  written.writeUInt32LE(total, total - 4);
  return written;
}

function optionHead(into: Buffer, at: number, code: number, length: number): number {
  return into.writeUInt16LE(length, into.writeUInt16LE(code, at));
}

/** Type, length, body, and the length once more. `body` comes to a multiple of four bytes. */
function block(type: number, body: readonly Uint8Array[]): Buffer {
  const length = 12 + body.reduce((sum, { length }) => sum + length, 0);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(length, 0);
  return Buffer.concat([head, ...body, tail], length);
}

/** The options, and the mark of their end. */
function options(all: readonly Buffer[]): Buffer[] {
  return [...all, Buffer.alloc(4)];
}

function option(code: number, value: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(value)]);
}

function text(code: number, value: string): Buffer {
  return option(code, Buffer.from(printable(value).slice(0, MAX_TEXT)));
}

/** With zeros up to a multiple of four bytes. */
function padded(value: Uint8Array): Uint8Array {
  const missing = -value.length & 3;
  return missing === 0 ? value : Buffer.concat([value, Buffer.alloc(missing)]);
}
