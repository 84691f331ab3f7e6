/** Whether capture words can be carried out, and if not, where they go wrong. */
import { compileWords, type LookCheck, WordsError } from '@mirrorplane/contract';

/** Pure. The position is that of the wrong word. */
export function checkWords(words: string): NonNullable<LookCheck['words']> {
  try {
    compileWords(words);
    return { ok: true };
  } catch (error) {
    if (error instanceof WordsError) {
      return { ok: false, message: error.message, position: error.position };
    }
    throw error;
  }
}
