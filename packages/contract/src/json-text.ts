/** JSON for readers that may be a terminal. */

/**
 * Characters that a terminal acts on and `JSON.stringify` leaves as they are: DEL, C1 (ECMA-48,
 * where U+009B begins a control sequence), and those that change the direction of text (UAX 9).
 */
const ODD = /[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The same JSON with all control characters written as `\uXXXX`. Reading it gives the same value. */
export function withoutControls(json: string): string {
  return json.replace(ODD, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value as JSON, without raw control characters except the line ends of `indent`. */
export function jsonText(value: unknown, indent?: number): string {
  return withoutControls(JSON.stringify(value, null, indent));
}
