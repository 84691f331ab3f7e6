/** Text of strangers, made harmless for a terminal and for a line. */
import { stripVTControlCharacters } from 'node:util';

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Removes terminal control sequences, and replaces every other control character, line break and
 * mark that turns the direction of text. Names come from device aliases and from packets, which
 * anybody can write.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(CONTROL, '\ufffd').toWellFormed();
}
