/** Runs `mirrorplane store` in the process of a test. */
import { storeCommands } from '../../src/backup/commands.ts';

/** @returns what it says @throws Error with its message */
export async function run(...words: string[]): Promise<string> {
  let said = '';
  const commands = storeCommands((text) => {
    said += text;
  });
  await commands.parseAsync(words, { from: 'user' });
  return said;
}
