/**
 * The wire format of protocol buffers, as far as etcd's messages need it:
 * https://protobuf.dev/programming-guides/encoding. A field is a number, a kind, and a value.
 */

/** Integers and booleans. Decoded as a number, which is exact below 2^53. */
const VARINT = 0;
/** Texts, bytes and messages: a length, and that many bytes. */
const BYTES = 2;
const FIXED_64 = 1;
const FIXED_32 = 5;

/** A value to write. Undefined, 0, false and an empty text are left out: they are the default. */
export type Value = number | boolean | string | Uint8Array | undefined;

/** A message of fields: each one is its number and its value, or its values if it is repeated. */
export function message(...fields: [number: number, value: Value | readonly Value[]][]): Buffer {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (Array.isArray(value)) {
      for (const one of value) {
        field(parts, number, one, true);
      }
    } else {
      field(parts, number, value as Value, false);
    }
  }
  return Buffer.concat(parts);
}

/** @param always write a default value too: one of a repeated field, or of a `oneof` */
function field(parts: Uint8Array[], number: number, value: Value, always: boolean): void {
  if (value === undefined) {
    return;
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    if (always || Number(value) !== 0) {
      parts.push(varint(number * 8 + VARINT), varint(Number(value)));
    }
    return;
  }
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (always || bytes.length > 0 || typeof value !== 'string') {
    parts.push(varint(number * 8 + BYTES), varint(bytes.length), bytes);
  }
}

/** @param value a whole number from 0 to 2^53 - 1 */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    bytes.push((rest % 0x80) + 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Fields of a decoded message. Of a field that is not repeated, the last value counts. */
export class Fields {
  readonly #numbers = new Map<number, number>();
  readonly #bytes = new Map<number, Buffer[]>();

  /** @throws Error if the bytes are no message */
  constructor(bytes: Buffer) {
    for (let at = 0; at < bytes.length; ) {
      const tag = read(bytes, at);
      const number = Math.floor(tag.value / 8);
      const kind = tag.value % 8;
      if (kind === VARINT) {
        const { value, next } = read(bytes, tag.next);
        this.#numbers.set(number, value);
        at = next;
      } else if (kind === BYTES) {
        const { value, next } = read(bytes, tag.next);
        at = next + value;
        const values = this.#bytes.get(number) ?? [];
        values.push(bytes.subarray(next, at));
        this.#bytes.set(number, values);
      } else if (kind === FIXED_64 || kind === FIXED_32) {
        at = tag.next + (kind === FIXED_64 ? 8 : 4);
      } else {
        throw new Error(`kind ${kind} of field ${number} is unknown`);
      }
      if (at > bytes.length) {
        throw new Error(`field ${number} ends behind its message`);
      }
    }
  }

  /** 0 without the field. */
  number(number: number): number {
    return this.#numbers.get(number) ?? 0;
  }

  flag(number: number): boolean {
    return this.number(number) !== 0;
  }

  text(number: number): string {
    return this.bytes(number).toString();
  }

  bytes(number: number): Buffer {
    return this.#bytes.get(number)?.at(-1) ?? Buffer.alloc(0);
  }

  /** The message of a field. Without the field, one without fields. */
  inner(number: number): Fields {
    return new Fields(this.bytes(number));
  }

  /** The messages of a repeated field, in order. */
  all(number: number): Fields[] {
    return (this.#bytes.get(number) ?? []).map((bytes) => new Fields(bytes));
  }
}

function read(bytes: Buffer, from: number): { value: number; next: number } {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length; at++, factor *= 0x80) {
    const byte = bytes[at]!;
    value += (byte % 0x80) * factor;
    if (byte < 0x80) {
      return { value, next: at + 1 };
    }
  }
  throw new Error('a number ends behind its message');
}
