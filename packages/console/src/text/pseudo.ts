/**
 * A language that nobody speaks: each text of the catalogue between marks, with accents, and a
 * third longer.
 */

/** The marks around each text. */
export const MARKS = ['⟦', '⟧'] as const;
const ACCENTS: Record<string, string> = { a: 'á', e: 'é', i: 'í', o: 'ó', u: 'ú', c: 'ç', n: 'ñ', y: 'ý' };

function accented(text: string): string {
  const longer = '~'.repeat(Math.ceil(text.length / 3));
  return `${MARKS[0]}${text.replaceAll(/[aeioucny]/g, (letter) => ACCENTS[letter] ?? letter)}${longer}${MARKS[1]}`;
}

/** The same catalogue in the pseudo-locale; a function gives a marked text, too. */
export function pseudo<T>(texts: T): T {
  if (typeof texts === 'string') {
    return accented(texts) as T;
  }
  if (typeof texts === 'function') {
    return ((...given: unknown[]) => pseudo(texts(...given))) as T;
  }
  if (Array.isArray(texts)) {
    return texts.map(pseudo) as T;
  }
  if (typeof texts === 'object' && texts !== null) {
    return Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, pseudo(value)])) as T;
  }
  return texts;
}
