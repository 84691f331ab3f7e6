/** The command that shows the packets of a look in Wireshark on one's own computer. Pure. */
import type { Look } from '../api/types.ts';

export function captureCommand({ interfaces, policy, words, payload }: Look): string {
  const subjects = policy === undefined ? (interfaces ?? []).map(quoted) : ['--policy', quoted(policy)];
  const filter = words === '' ? [] : ['--filter', quoted(words)];
  const parts = ['mirrorplane capture', ...subjects, ...filter, ...(payload ? ['--payload'] : []), '-w -'];
  return `${parts.join(' ')} | wireshark -k -i -`;
}

/** A word of a shell. */
function quoted(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
