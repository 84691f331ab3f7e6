/** Numbers, texts and bytes of a batch of a look, little-endian, checked as they are read. */

/** A batch that cannot be read. The message says what is wrong with it. */
export class LookBatchError extends Error {
  override name = 'LookBatchError';
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Writes into a buffer that grows. */
export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  /** A whole number up to 2^53, as a double. */
  number(value: number): void {
    const at = this.#take(8);
    this.#view.setFloat64(at, value, true);
  }

  /** 16 hexadecimal digits. */
  id(value: string): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(`0x${value}`), true);
  }

  /** At most 65,535 bytes. */
  bytes(value: Uint8Array): void {
    this.u16(value.length);
    const at = this.#take(value.length);
    this.#bytes.set(value, at);
  }

  text(value: string): void {
    this.bytes(encoder.encode(value).subarray(0, 0xffff));
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #take(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Reads what a `ByteWriter` wrote. @throws LookBatchError where it ends too early */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A whole number from 0 to 2^53. */
  number(what: string): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!(Number.isSafeInteger(value) && value >= 0)) {
      throw new LookBatchError(`${what} is no whole number from 0 to 2^53`);
    }
    return value;
  }

  id(): string {
    return this.#view.getBigUint64(this.#take(8), true).toString(16).padStart(16, '0');
  }

  /** A view of the bytes that are read. */
  bytes(): Uint8Array {
    const length = this.u16();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(what: string, most: number): string {
    let text: string;
    try {
      text = decoder.decode(this.bytes());
    } catch (error) {
      throw error instanceof LookBatchError ? error : new LookBatchError(`${what} is not UTF-8`);
    }
    if (text.length > most) {
      throw new LookBatchError(`${what} has ${text.length} characters; at most ${most} are allowed`);
    }
    return text;
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) {
      throw new LookBatchError('it ends too early');
    }
    this.#at += count;
    return at;
  }
}
