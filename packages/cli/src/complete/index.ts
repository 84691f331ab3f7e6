/** `mirrorplane __complete WORD...`: shells run it to complete a word. */
import type { Client } from '../client.ts';
import { contextOf } from '../context.ts';
import { buildProgram } from '../program.ts';
import { COMPLETED, type Completed } from '../resources.ts';
import { expected } from './expected.ts';

/** The longest time that a user waits for names, milliseconds. */
const PATIENCE_MS = 2000;

/**
 * The words that are possible at the cursor, each once. Without a controller, its names are left
 * out.
 * @param words the words after "mirrorplane" up to the cursor; the last one is the incomplete word
 */
export async function complete(words: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string[]> {
  const program = buildProgram();
  const { words: known, names, options } = expected(program, words);
  const found = [...known];
  if (names !== undefined) {
    for (const [attribute, value] of Object.entries(options)) {
      program.setOptionValue(attribute, value);
    }
    try {
      found.push(...(await namesOf(contextOf(program, env, PATIENCE_MS).client, names)));
    } catch {
      // A message would appear in the middle of the line that the user is typing.
    }
  }
  const current = words.at(-1) ?? '';
  return [...new Set(found)].filter((word) => word.startsWith(current) && word !== '').sort();
}

async function namesOf(client: Client, kind: Completed): Promise<string[]> {
  const { path, key } = COMPLETED[kind];
  const body = await client.list<Record<string, unknown>>(path);
  // Interface ids can contain any character. Ids that a shell would split are not offered.
  return body.items.map((item) => String(item[key])).filter((name) => /^[\w./:@+-]+$/.test(name));
}
