/** Text of decoders for people: bounded, in one line, without control characters. */
import { printable } from '@mirrorplane/base';

/** Characters of a column, and of a line of a tree. */
const MAX_SHOWN = 400;
/** Numbers of frames within what the decoder was fed. Nobody else knows them. */
const FRAME_NUMBERS = / ?\((?:request|reply) in \d+\)|, (?:request|reply) in \d+/g;

/** A text of a decoder, harmless and short. */
export function shownText(text: string): string {
  const line = printable(text).replace(FRAME_NUMBERS, '');
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN - 1).toWellFormed()}…` : line;
}
