/** `mirrorplane __complete WORD...`: what shells ask for when a user wants a word completed. */
import type { Client } from '../client.ts';
import { contextOf } from '../context.ts';
import { buildProgram } from '../program.ts';
import { type Kind, RESOURCES } from '../resources.ts';
import { expected } from './expected.ts';

/** Milliseconds that a user waits for names. */
const PATIENCE_MS = 2000;

/**
 * Words that can stand where the cursor is, each once. Where the controller cannot be asked, its names are left out.
 * @param words what follows "mirrorplane" up to the cursor; the last one is what has been typed of the word there
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
      // A message in the middle of a line that is being typed helps nobody.
    }
  }
  const current = words.at(-1) ?? '';
  return [...new Set(found)].filter((word) => word.startsWith(current) && word !== '').sort();
}

async function namesOf(client: Client, kind: Kind): Promise<string[]> {
  const { path, key } = RESOURCES[kind];
  const body = await client.list<Record<string, unknown>>(path);
  // An interface may be called anything; what a shell would take apart is not offered.
  return body.items.map((item) => String(item[key])).filter((name) => /^[\w./:@+-]+$/.test(name));
}
