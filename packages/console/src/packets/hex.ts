/** Bytes as lines of hexadecimal digits and characters, with a range that is marked. Pure. */

/** Bytes of a line. */
const WIDTH = 16;

/** A piece of a line that is marked as a whole, or not at all. */
export interface Piece {
  text: string;
  isMarked: boolean;
}

export interface HexLine {
  offset: string;
  hex: Piece[];
  characters: Piece[];
}

/**
 * @param hex two digits a byte
 * @param range first byte and number of bytes that are marked
 */
export function hexLines(hex: string, range: readonly [number, number] | undefined): HexLine[] {
  const bytes = hex.match(/../g) ?? [];
  const isMarked = (at: number) => range !== undefined && at >= range[0] && at < range[0] + range[1];
  const lines: HexLine[] = [];
  for (let from = 0; from < bytes.length; from += WIDTH) {
    const line = bytes.slice(from, from + WIDTH);
    lines.push({
      offset: from.toString(16).padStart(4, '0'),
      hex: pieces(line.map((byte, i) => ({ text: `${byte} `, isMarked: isMarked(from + i) }))),
      characters: pieces(line.map((byte, i) => ({ text: characterOf(byte), isMarked: isMarked(from + i) }))),
    });
  }
  return lines;
}

/** Joins neighbours that are alike. */
function pieces(all: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of all) {
    const last = joined.at(-1);
    if (last?.isMarked === piece.isMarked) {
      last.text += piece.text;
    } else {
      joined.push({ ...piece });
    }
  }
  return joined;
}

function characterOf(byte: string): string {
  const code = Number.parseInt(byte, 16);
  return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : '·';
}
