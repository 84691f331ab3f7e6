/** The last check of all that is printed: nothing of it may control the terminal. */

/**
 * Control characters, and those that change the direction of text. A line end, a tab, and what
 * this command writes itself stay: colours, and the sequences by which `--watch` redraws.
 */
const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /(\x1b\[(?:1|2|22|31|32|33|39)m|\x1b\[[HJK])|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * The text with U+FFFD for each control character. Names, messages and files come from others. What
 * is laid out in a table was already made safe; this is for all else.
 */
export function harmless(text: string): string {
  return text.replace(CONTROLS, (_char, own: string | undefined) => own ?? '\ufffd');
}
