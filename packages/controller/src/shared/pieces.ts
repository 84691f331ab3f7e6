/**
 * A log of lines in the shared space: pieces of lines, of which each says behind which line it
 * begins. New lines are short pieces at `NAME/t/…`. Now and then these are joined to a long piece at
 * `NAME/s/…`, so that the number of keys is bounded.
 */
import { allEntries } from '../store/shared-space.ts';
import type { SharedSpace } from '../store/store.ts';
import type { ClusterKey } from './cluster-key.ts';

/** Lines without a gap: those with a number above `after`, up to `last`. */
export interface Piece {
  after: number;
  last: number;
  /** Without line ends. */
  lines: string[];
}

/** Kinds of pieces. Keys of long ones come first, and have the older lines. */
type Kind = 's' | 't';
const DIGITS = 16;

/** Where a piece is. */
export interface PieceKey {
  key: string;
  kind: Kind;
  after: number;
}

/** Key of a piece in the log `name`. Of two pieces with the same key, the later one counts. */
export function pieceKey(name: string, kind: Kind, after: number): string {
  return `${name}/${kind}/${String(after).padStart(DIGITS, '0')}`;
}

/** Undefined: it is no key of a piece of this log. */
export function parsePieceKey(name: string, key: string): PieceKey | undefined {
  const [, kind, after] = (key.startsWith(`${name}/`) && /^([st])\/(\d{16})$/.exec(key.slice(name.length + 1))) || [];
  return kind === undefined ? undefined : { key, kind: kind as Kind, after: Number(after) };
}

export function sealPiece(key: ClusterKey, at: string, { after, last, lines }: Piece): Buffer {
  return key.seal(at, `${after} ${last}\n${lines.join('\n')}`, true);
}

/** @throws SealError if it was changed */
export function openPiece(key: ClusterKey, at: string, value: Buffer): Piece {
  const text = key.open(at, value);
  const end = text.indexOf('\n');
  const [after, last] = text.slice(0, end).split(' ').map(Number) as [number, number];
  const body = text.slice(end + 1);
  return { after, last, lines: body === '' ? [] : body.split('\n') };
}

export const bytesOf = ({ lines }: Pick<Piece, 'lines'>) => lines.reduce((sum, line) => sum + line.length + 1, 0);

/** The keys of all pieces, the oldest first. */
export async function pieceKeys(space: SharedSpace, name: string, revision?: number): Promise<PieceKey[]> {
  const range = { keysOnly: true, ...(revision !== undefined && { revision }) };
  const found = await allEntries(space, `${name}/`, range);
  return found.flatMap(({ key }) => parsePieceKey(name, key) ?? []);
}

/**
 * The pieces with lines above a number, the oldest first, as they are at one revision.
 * @param after 0: all
 * @param revision of the engine. Default: the newest
 */
export async function* readPieces(
  space: SharedSpace,
  key: ClusterKey,
  name: string,
  { after = 0, revision }: { after?: number; revision?: number } = {},
): AsyncGenerator<Piece> {
  const at = revision ?? (await space.revision());
  const keys = await pieceKeys(space, name, at);
  const begin = keys.findLast((one) => one.after <= after)?.key ?? `${name}/`;
  for await (const entry of space.entries(`${name}/`, { from: begin, revision: at })) {
    if (parsePieceKey(name, entry.key)) {
      const piece = openPiece(key, entry.key, entry.value);
      if (piece.last > after) {
        yield piece;
      }
    }
  }
}
