/**
 * Reads the pcapng stream of a look block by block (draft-ietf-opsawg-pcapng, little-endian as the
 * controller writes it).
 */

/** A packet of the stream. */
export interface StreamedPacket {
  /** Microseconds since 1970, by the clock of its node. */
  at: number;
  /** As `web-1/0 on node-1 (sent)`. */
  interface: string;
  direction: 'inbound' | 'outbound' | undefined;
  /** Bytes of the whole frame. */
  length: number;
  /** Bytes of it that the look has. */
  captured: number;
  /** What became of its copy and of itself. */
  comment: string;
  /** Packets that were lost before it. */
  lost: number;
}

/** A whole block, as it is written to a file. `packet` where it is one. */
export interface StreamedBlock {
  bytes: Buffer;
  packet?: StreamedPacket;
}

/** The stream is not what the controller sends. */
export class PcapngError extends Error {
  override name = 'PcapngError';
}

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
/** Options of the blocks. */
const COMMENT = 1;
const INTERFACE_NAME = 2;
const FLAGS = 2;
const DROP_COUNT = 4;
const DIRECTIONS = [undefined, 'inbound', 'outbound', undefined] as const;
/** Bytes around the body of a block: type, length, and the length again. */
const AROUND = 12;
/** Bytes of a packet block before the packet, and of the other blocks before their options. */
const PACKET_HEAD = 28;
const OPTIONS_AT = { section: 24, interface: 16 };
const MAX_BLOCK = 1 << 20;

/** Assembles blocks from pieces. */
export class PcapngReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #interfaces: string[] = [];

  /** Adds the next piece. @returns the blocks that are whole now @throws PcapngError */
  add(piece: Buffer): StreamedBlock[] {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const blocks: StreamedBlock[] = [];
    for (let block = this.#take(); block !== undefined; block = this.#take()) {
      blocks.push(this.#read(block));
    }
    return blocks;
  }

  #take(): Buffer | undefined {
    if (this.#rest.length < AROUND) {
      return undefined;
    }
    const length = this.#rest.readUInt32LE(4);
    if (length < AROUND || length > MAX_BLOCK || length % 4 !== 0) {
      throw new PcapngError(`a block of the stream has ${length} bytes`);
    }
    if (this.#rest.length < length) {
      return undefined;
    }
    const block = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return block;
  }

  #read(bytes: Buffer): StreamedBlock {
    const type = bytes.readUInt32LE(0);
    if (type === INTERFACE_DESCRIPTION) {
      this.#interfaces.push(optionsOf(bytes, OPTIONS_AT.interface).get(INTERFACE_NAME)?.toString() ?? '');
    }
    if (type === SECTION_HEADER || type !== ENHANCED_PACKET || bytes.length < PACKET_HEAD + 4) {
      return { bytes };
    }
    return { bytes, packet: this.#packet(bytes) };
  }

  #packet(bytes: Buffer): StreamedPacket {
    const captured = bytes.readUInt32LE(20);
    const options = optionsOf(bytes, PACKET_HEAD + captured + (-captured & 3));
    const flags = options.get(FLAGS)?.readUInt32LE() ?? 0;
    return {
      at: bytes.readUInt32LE(12) * 2 ** 32 + bytes.readUInt32LE(16),
      interface: this.#interfaces[bytes.readUInt32LE(8)] ?? '',
      direction: DIRECTIONS[flags & 3],
      length: bytes.readUInt32LE(24),
      captured,
      comment: options.get(COMMENT)?.toString() ?? '',
      lost: Number(options.get(DROP_COUNT)?.readBigUInt64LE() ?? 0n),
    };
  }
}

/** The options of a block from a place on, the first of each kind. */
function optionsOf(bytes: Buffer, from: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  const end = bytes.length - 4;
  for (let at = from; at + 4 <= end; ) {
    const code = bytes.readUInt16LE(at);
    const length = bytes.readUInt16LE(at + 2);
    const value = bytes.subarray(at + 4, Math.min(end, at + 4 + length));
    if (code === 0 || value.length < length) {
      break;
    }
    if (!options.has(code)) {
      options.set(code, value);
    }
    at += 4 + length + (-length & 3);
  }
  return options;
}
