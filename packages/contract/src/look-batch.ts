/**
 * What a node tells of a look at a time: one binary WebSocket message of `/looks`. Head, texts,
 * places without sight, packets, drops; names are in the table of texts and are written once.
 */
import { MAX_TEXT } from './bounds.ts';
import type { LookTotals, LookUnseen } from './look.ts';
import { ByteReader, ByteWriter, LookBatchError } from './look-bytes.ts';
import { LOOK_LIMITS } from './look-limits.ts';
import { DROP_CAUSES, type HeardDrop, type LookedPacket } from './looked-packet.ts';
import { COPY_FATES, type CopyFate, LOOK_ENDS, LOOK_PLACES, type LookEndReason } from './looks.ts';
import { InterfaceId } from './names.ts';

/** A packet of a batch. */
export type BatchPacket = Omit<LookedPacket, 'number' | 'node' | 'interfaceName' | 'original' | 'lostBefore'> & {
  bytes: Uint8Array;
};

/** A drop of a batch. The connection says of which node. */
export type BatchDrop = Omit<HeardDrop, 'node'> & {
  /** Bytes of the whole frame. */
  length: number;
  /** Bytes of payload of a segment of a super-packet; 0: it was none. */
  gsoSize: number;
  /** The first bytes of the frame. Empty: they could not be read. */
  bytes: Uint8Array;
};

/** Of one look. */
export interface LookBatch {
  look: string;
  /** New whenever the look begins on the node: counts begin again. 32 bits. */
  run: number;
  counts: Omit<LookTotals, 'received'>;
  unseen: readonly LookUnseen[];
  /** Why the node hears no drops. Absent: it does. */
  unheard?: string;
  packets: readonly BatchPacket[];
  drops: readonly BatchDrop[];
  /** The look has ended on the node, and this is the last batch of the run. */
  ended?: LookEndReason;
}

/** Bounds of a batch, checked as it is read. */
export const BATCH_LIMITS = {
  bytes: 256 * 1024,
  /** Bytes up to which a node fills a batch, if its packets are more. */
  filled: 64 * 1024,
  packets: 2000,
  drops: 2000,
  unseen: 256,
  texts: 4096,
} as const;

const VERSION = 1;
const COUNTS = ['seen', 'written', 'overRate', 'ringFull', 'lostOnTheWay', 'dropsHeard', 'dropsLost'] as const;
const FATES: ReadonlySet<string> = new Set(COPY_FATES);
const DIRECTIONS = [undefined, 'inbound', 'outbound'] as const;
const HAS_ID = 1;
const HAS_VLAN = 2;
/** Bytes of a packet beside its own, and of a drop, at the most. */
const PACKET_BYTES = 48;
/** What a packet can be at most: a super-packet has up to 65,535 segments. */
const MOST_OF_PACKET = { length: 1 << 20, packets: 0xffff, gsoSize: 0xffff };
/**
 * Bytes of a packet: those that the kernel reads, and a VLAN tag. The kernel may keep the tag beside
 * the frame, and the node puts it back.
 */
const MAX_PACKET_BYTES = LOOK_LIMITS.payloadBytes + 4;
/** Bytes of the frame of a drop: its headers, with tags. */
const MAX_DROP_BYTES = 256;
/** Characters of a text of the table: device names, fates, reasons, functions. */
const MAX_NAME = 128;

/** Gives texts numbers. */
class TextTable {
  readonly texts = new Map<string, number>();

  of(text: string): number {
    const short = text.slice(0, MAX_NAME);
    const known = this.texts.get(short);
    if (known !== undefined) {
      return known;
    }
    this.texts.set(short, this.texts.size);
    return this.texts.size - 1;
  }
}

/** Writes a batch. It has to be within `BATCH_LIMITS`, see `divideBatch`. */
export function encodeLookBatch(batch: LookBatch): Uint8Array {
  const table = new TextTable();
  const body = new ByteWriter();
  body.u16(batch.unseen.length);
  for (const { device, direction, message } of batch.unseen) {
    body.u16(table.of(device));
    body.u8(DIRECTIONS.indexOf(direction));
    body.text(message.slice(0, MAX_TEXT));
  }
  body.u16(batch.packets.length);
  for (const packet of batch.packets) {
    writePacket(body, packet, table);
  }
  body.u16(batch.drops.length);
  for (const drop of batch.drops) {
    writeDrop(body, drop, table);
  }
  const head = new ByteWriter();
  head.u8(VERSION);
  head.text(batch.look);
  head.u32(batch.run);
  head.u8(batch.ended === undefined ? 0 : LOOK_ENDS.indexOf(batch.ended) + 1);
  for (const name of COUNTS) {
    head.number(batch.counts[name]);
  }
  head.text((batch.unheard ?? '').slice(0, MAX_TEXT));
  head.u16(table.texts.size);
  for (const text of table.texts.keys()) {
    head.text(text);
  }
  const [first, rest] = [head.finish(), body.finish()];
  const whole = new Uint8Array(first.length + rest.length);
  whole.set(first);
  whole.set(rest, first.length);
  return whole;
}

function writePacket(body: ByteWriter, packet: BatchPacket, table: TextTable): void {
  const flags = (packet.packet === undefined ? 0 : HAS_ID) | (packet.vlan === undefined ? 0 : HAS_VLAN);
  body.number(packet.at);
  body.u16(table.of(packet.interface));
  body.u16(table.of(packet.device));
  body.u16(table.of(packet.copy));
  body.u8(LOOK_PLACES.indexOf(packet.place));
  body.u8(flags);
  body.u32(packet.length);
  body.u32(packet.packets);
  body.u32(packet.gsoSize);
  if (packet.packet !== undefined) {
    body.id(packet.packet);
  }
  if (packet.vlan !== undefined) {
    body.u16(packet.vlan);
  }
  body.bytes(packet.bytes);
}

function writeDrop(body: ByteWriter, drop: BatchDrop, table: TextTable): void {
  body.number(drop.at);
  body.u8(DROP_CAUSES.indexOf(drop.cause));
  body.u8(drop.packet === undefined ? 0 : HAS_ID);
  body.u32(drop.packets);
  body.u16(table.of(drop.reason));
  body.u16(table.of(drop.function));
  body.u16(table.of(drop.device));
  body.u32(drop.length);
  body.u32(drop.gsoSize);
  if (drop.packet !== undefined) {
    body.id(drop.packet);
  }
  body.bytes(drop.bytes);
}

/**
 * The same as batches within `BATCH_LIMITS`. Only the first has the places without sight, and only
 * the last ends the look.
 */
export function divideBatch(batch: LookBatch): LookBatch[] {
  const { packets, drops, unseen, ended, ...head } = batch;
  const parts: LookBatch[] = [{ ...head, unseen: unseen.slice(0, BATCH_LIMITS.unseen), packets: [], drops: [] }];
  let bytes = 0;
  const take = <T>(items: readonly T[], name: 'packets' | 'drops', cost: (item: T) => number) => {
    for (const item of items) {
      let last = parts.at(-1)!;
      bytes += cost(item);
      if (bytes > BATCH_LIMITS.filled || last[name].length >= BATCH_LIMITS[name]) {
        bytes = cost(item);
        last = { ...head, unseen: parts[0]!.unseen, packets: [], drops: [] };
        parts.push(last);
      }
      (last[name] as unknown as T[]).push(item);
    }
  };
  take(packets, 'packets', (packet) => packet.bytes.length + PACKET_BYTES);
  take(drops, 'drops', (drop) => drop.bytes.length + PACKET_BYTES);
  if (ended !== undefined) {
    parts.at(-1)!.ended = ended;
  }
  return parts;
}

/**
 * Reads a batch. Bytes of packets are views of what is read.
 * @throws LookBatchError
 */
export function decodeLookBatch(bytes: Uint8Array): LookBatch {
  if (bytes.length > BATCH_LIMITS.bytes) {
    throw new LookBatchError(`it has ${bytes.length} bytes; at most ${BATCH_LIMITS.bytes} are allowed`);
  }
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) {
    throw new LookBatchError(`it has version ${version}, and not ${VERSION}`);
  }
  const look = reader.text('the id of the look', 64);
  const run = reader.u32();
  const ended = endOf(reader.u8());
  const counts = Object.fromEntries(COUNTS.map((name) => [name, reader.number(name)])) as LookBatch['counts'];
  const unheard = reader.text('a message', MAX_TEXT);
  const texts = listOf(reader, 'texts', () => reader.text('a name', MAX_NAME));
  const textOf = (index: number): string => {
    const text = texts[index];
    if (text === undefined) {
      throw new LookBatchError(`it has no text ${index}`);
    }
    return text;
  };
  const unseen = listOf(reader, 'unseen', () => readUnseen(reader, textOf));
  const interfaceOf = checkedOnce((id) => InterfaceId.safeParse(id).success, 'an interface has no valid id');
  const fateOf = checkedOnce((text) => FATES.has(text), 'a copy has a fate that there is not');
  const names = { textOf, interfaceOf, fateOf };
  const packets = listOf(reader, 'packets', () => readPacket(reader, names));
  const drops = listOf(reader, 'drops', () => readDrop(reader, textOf));
  if (!reader.isAtEnd) {
    throw new LookBatchError('something follows its end');
  }
  return {
    look,
    run,
    counts,
    unseen,
    ...(unheard !== '' && { unheard }),
    packets,
    drops,
    ...(ended !== undefined && { ended }),
  };
}

function endOf(code: number): LookEndReason | undefined {
  const end = LOOK_ENDS[code - 1];
  if (code !== 0 && end === undefined) {
    throw new LookBatchError(`there is no end ${code}`);
  }
  return end;
}

function listOf<T>(reader: ByteReader, name: 'texts' | 'unseen' | 'packets' | 'drops', read: () => T): T[] {
  const count = reader.u16();
  if (count > BATCH_LIMITS[name]) {
    throw new LookBatchError(`it has ${count} ${name}; at most ${BATCH_LIMITS[name]} are allowed`);
  }
  const items: T[] = [];
  while (items.length < count) {
    items.push(read());
  }
  return items;
}

type TextOf = (index: number) => string;

function readUnseen(reader: ByteReader, textOf: TextOf): LookUnseen {
  const device = deviceOf(textOf(reader.u16()));
  const code = reader.u8();
  if (code >= DIRECTIONS.length) {
    throw new LookBatchError(`there is no direction ${code}`);
  }
  const direction = DIRECTIONS[code];
  return { device, ...(direction && { direction }), message: reader.text('a message', MAX_TEXT) };
}

/** Checks texts, each of them once. @throws LookBatchError */
function checkedOnce(isRight: (text: string) => boolean, problem: string): (text: string) => string {
  const right = new Set<string>();
  return (text) => {
    if (!right.has(text)) {
      if (!isRight(text)) {
        throw new LookBatchError(problem);
      }
      right.add(text);
    }
    return text;
  };
}

interface PacketNames {
  textOf: TextOf;
  interfaceOf: (text: string) => string;
  fateOf: (text: string) => string;
}

function readPacket(reader: ByteReader, { textOf, interfaceOf, fateOf }: PacketNames): BatchPacket {
  const at = reader.number('the time of a packet');
  const id = interfaceOf(textOf(reader.u16()));
  const device = deviceOf(textOf(reader.u16()));
  const copy = fateOf(textOf(reader.u16()));
  const place = oneOf(LOOK_PLACES, reader.u8(), 'place');
  const flags = reader.u8();
  const [length, packets, gsoSize] = [reader.u32(), reader.u32(), reader.u32()];
  const packet = (flags & HAS_ID) === 0 ? undefined : reader.id();
  const vlan = (flags & HAS_VLAN) === 0 ? undefined : reader.u16();
  const bytes = reader.bytes();
  const most = MOST_OF_PACKET;
  const isTooLarge = length > most.length || packets > most.packets || gsoSize > most.gsoSize;
  if (isTooLarge || packets === 0 || bytes.length > length || bytes.length > MAX_PACKET_BYTES || vlan! > 4095) {
    throw new LookBatchError('the lengths, the number or the VLAN ID of a packet cannot be');
  }
  return {
    at,
    interface: id,
    device,
    place,
    direction: place === 'sent' ? 'outbound' : 'inbound',
    length,
    captured: bytes.length,
    packets,
    gsoSize,
    ...(vlan !== undefined && { vlan }),
    ...(packet !== undefined && { packet }),
    copy: copy as CopyFate,
    bytes,
  };
}

function readDrop(reader: ByteReader, textOf: TextOf): BatchDrop {
  const at = reader.number('the time of a drop');
  const cause = oneOf(DROP_CAUSES, reader.u8(), 'cause');
  const flags = reader.u8();
  const packets = reader.u32();
  const reason = textOf(reader.u16()).slice(0, 64);
  const name = textOf(reader.u16());
  const device = deviceOf(textOf(reader.u16()));
  const [length, gsoSize] = [reader.u32(), reader.u32()];
  const packet = (flags & HAS_ID) === 0 ? undefined : reader.id();
  const bytes = reader.bytes();
  if (packets === 0 || bytes.length > length || bytes.length > MAX_DROP_BYTES) {
    throw new LookBatchError('the lengths or the number of a drop cannot be');
  }
  const what = { at, cause, packets, reason, function: name, device, length, gsoSize };
  return { ...what, ...(packet !== undefined && { packet }), bytes };
}

function deviceOf(text: string): string {
  if (text.length > 64) {
    throw new LookBatchError('the name of a device is too long');
  }
  return text;
}

function oneOf<T>(all: readonly T[], index: number, what: string): T {
  if (index >= all.length) {
    throw new LookBatchError(`there is no ${what} ${index}`);
  }
  return all[index]!;
}
