/** Reads a file, or stdin to its end. */
import { createReadStream } from 'node:fs';
import { CliError } from './exit.ts';

/** The largest file, in bytes: some 50,000 policies. */
export const MAX_INPUT_BYTES = 16 << 20;

/**
 * The text of a file, or of stdin for `-`. Stdin may be a pipe with a slow writer.
 * @throws CliError (usage) if it cannot be read, exceeds `MAX_INPUT_BYTES`, or is not UTF-8
 */
export async function readInput(file: string): Promise<string> {
  const name = file === '-' ? 'stdin' : file;
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of file === '-' ? process.stdin : createReadStream(file)) {
      bytes += (part as Buffer).length;
      // Leaving the loop closes the stream.
      if (bytes > MAX_INPUT_BYTES) {
        break;
      }
      parts.push(part as Buffer);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code ?? error})`;
    throw new CliError('usage', `${name} ${why}`, { cause: error });
  }
  if (bytes > MAX_INPUT_BYTES) {
    throw new CliError('usage', `${name} has more than ${MAX_INPUT_BYTES >> 20} MiB: divide it into several files`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch (error) {
    throw new CliError('usage', `${name} is not text in UTF-8`, { cause: error });
  }
}
