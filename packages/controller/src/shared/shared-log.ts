/** The writing end of a log in the shared space. */
import type { SharedOperation } from '../store/store.ts';
import type { ClusterKey } from './cluster-key.ts';
import { bytesOf, openPiece, type Piece, parsePieceKey, pieceKey, pieceKeys, sealPiece } from './pieces.ts';
import type { SharedWriter } from './writer.ts';

/** Bytes of lines of a long piece. */
const LONG_BYTES = 256 << 10;
/** Short pieces before they are joined. */
const MOST_SHORT = 64;
/** Long pieces: the oldest ones go. So the log has some 128 MiB of lines, a third of it in etcd. */
const MOST_LONG = 512;

/** A line without its end, and its number. */
export interface Numbered {
  number: number;
  line: string;
}

/** Takes the lines of a log for other controllers. */
export interface LogCopy {
  append(lines: readonly Numbered[]): Promise<void>;
}

/** What the store has. */
interface State {
  /** Where the long pieces begin, but for `newest`. */
  long: number[];
  /** The newest long piece, which may grow. */
  newest: Piece | undefined;
  short: Piece[];
}

export class SharedLog implements LogCopy {
  readonly #writer: SharedWriter;
  readonly #key: ClusterKey;
  readonly #name: string;
  readonly #mostLong: number;
  #state: State;
  #last: number;
  /** A write has failed: what is behind the last known line may be there, or may not. */
  #isUnsure = false;

  private constructor(writer: SharedWriter, key: ClusterKey, name: string, state: State, mostLong: number) {
    this.#writer = writer;
    this.#key = key;
    this.#name = name;
    this.#state = state;
    this.#last = state.short.at(-1)?.last ?? state.newest?.last ?? 0;
    this.#mostLong = mostLong;
  }

  /** Finds the end of the log. @param mostLong long pieces that are kept */
  static async open(writer: SharedWriter, key: ClusterKey, name: string, mostLong = MOST_LONG): Promise<SharedLog> {
    const keys = await pieceKeys(writer.space, name);
    const long = keys.filter(({ kind }) => kind === 's').map(({ after }) => after);
    const state: State = { long: long.slice(0, -1), newest: undefined, short: [] };
    const from = long.length > 0 ? pieceKey(name, 's', long.at(-1)!) : `${name}/`;
    for await (const { key: at, value } of writer.space.entries(`${name}/`, { from })) {
      const found = parsePieceKey(name, at);
      const piece = found && openPiece(key, at, value);
      if (piece && found.kind === 's') {
        state.newest = piece;
      } else if (piece) {
        state.short.push(piece);
      }
    }
    return new SharedLog(writer, key, name, state, mostLong);
  }

  /** Number of the newest line. 0: there is none. */
  get last(): number {
    return this.#last;
  }

  /** Number before the oldest line. */
  get after(): number {
    return this.#state.long[0] ?? this.#state.newest?.after ?? this.#state.short[0]?.after ?? 0;
  }

  /** True if there is no line. */
  get isEmpty(): boolean {
    return this.last === 0;
  }

  /**
   * Adds lines. Call it again when the last call has ended. After an error the lines may be there or
   * not, and the next lines take their place.
   * @param lines at least one, in the order of their numbers
   * @throws what the store throws
   */
  async append(lines: readonly Numbered[]): Promise<void> {
    await this.#removeUnsure();
    const pieces: Piece[] = [{ after: this.#last, last: this.#last, lines: [] }];
    let bytes = 0;
    for (const { number, line } of lines) {
      const { last } = pieces.at(-1)!;
      if (bytes > 0 && bytes + line.length > LONG_BYTES) {
        pieces.push({ after: last, last, lines: [] });
        bytes = 0;
      }
      pieces.at(-1)!.lines.push(line);
      pieces.at(-1)!.last = number;
      bytes += line.length + 1;
    }
    this.#isUnsure = true;
    const { ops, state } = this.#joined(pieces[0]!);
    for (const [index, piece] of pieces.entries()) {
      await this.#writer.write([...(index === 0 ? ops : []), this.#put('t', piece)]);
    }
    this.#isUnsure = false;
    this.#state = { ...state, short: [...state.short, ...pieces] };
    this.#last = pieces.at(-1)!.last;
  }

  /**
   * Leaves only these lines. Numbers of others are then of no line.
   * @param kept in the order of their numbers
   */
  async rewrite(kept: readonly Numbered[]): Promise<void> {
    await this.#removeUnsure();
    const { long, newest, short } = this.#state;
    const old = [
      ...long.map((after, index) => ({ kind: 's' as const, after, last: long[index + 1] ?? newest!.after })),
      ...(newest ? [{ kind: 's' as const, after: newest.after, last: newest.last }] : []),
      ...short.map(({ after, last }) => ({ kind: 't' as const, after, last })),
    ];
    const done: Piece[] = [];
    this.#isUnsure = true;
    let at = 0;
    let joined: typeof old = [];
    let piece: Piece | undefined;
    for (const [index, one] of old.entries()) {
      piece ??= { after: one.after, last: one.last, lines: [] };
      piece.last = one.last;
      joined.push(one);
      for (; at < kept.length && kept[at]!.number <= one.last; at++) {
        piece.lines.push(kept[at]!.line);
      }
      if (bytesOf(piece) >= LONG_BYTES || index === old.length - 1) {
        const remove = joined.map(
          ({ kind, after }): SharedOperation => ({ type: 'delete', key: this.#at(kind, after) }),
        );
        // The later operation on a key counts.
        await this.#writer.write([...remove, this.#put('s', piece)]);
        done.push(piece);
        joined = [];
        piece = undefined;
      }
    }
    this.#state = { long: done.slice(0, -1).map(({ after }) => after), newest: done.at(-1), short: [] };
    this.#isUnsure = false;
  }

  /** Joins short pieces to a long one if there are many, and drops the oldest long ones. */
  #joined(next: Piece): { ops: SharedOperation[]; state: State } {
    const { long, newest, short } = this.#state;
    const isFull = short.length >= MOST_SHORT || sumOf(short) + bytesOf(next) > LONG_BYTES;
    if (short.length === 0 || !isFull) {
      return { ops: [], state: this.#state };
    }
    const grows = newest !== undefined && bytesOf(newest) + sumOf(short) <= LONG_BYTES;
    const parts = [...(grows ? [newest] : []), ...short];
    const lines = parts.flatMap((part) => part.lines);
    const joined: Piece = { after: parts[0]!.after, last: parts.at(-1)!.last, lines };
    const all = grows || newest === undefined ? long : [...long, newest.after];
    const old = all.slice(0, Math.max(0, all.length + 1 - this.#mostLong));
    const ops = [
      ...short.map(({ after }): SharedOperation => ({ type: 'delete', key: this.#at('t', after) })),
      ...old.map((after): SharedOperation => ({ type: 'delete', key: this.#at('s', after) })),
      this.#put('s', joined),
    ];
    return { ops, state: { long: all.slice(old.length), newest: joined, short: [] } };
  }

  /** Reads the store again after a write that has failed, and removes what is behind the last line. */
  async #removeUnsure(): Promise<void> {
    if (!this.#isUnsure) {
      return;
    }
    const last = this.#last;
    const known = await SharedLog.open(this.#writer, this.#key, this.#name, this.#mostLong);
    const tail = known.#state.short.filter((piece) => piece.after >= last);
    await this.#writer.write(tail.map(({ after }) => ({ type: 'delete', key: this.#at('t', after) })));
    const short = known.#state.short.filter((piece) => piece.after < last);
    this.#state = { ...known.#state, short };
    this.#isUnsure = false;
  }

  #at(kind: 's' | 't', after: number): string {
    return pieceKey(this.#name, kind, after);
  }

  #put(kind: 's' | 't', piece: Piece): SharedOperation {
    const key = this.#at(kind, piece.after);
    return { type: 'put', key, value: sealPiece(this.#key, key, piece) };
  }
}

const sumOf = (pieces: readonly Piece[]) => pieces.reduce((sum, piece) => sum + bytesOf(piece), 0);
