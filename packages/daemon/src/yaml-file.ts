/** Reads a bounded file of YAML, without aliases. */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { parseDocument, visit } from 'yaml';

/** The largest file, in bytes. */
const MAX_SIZE = 65_536;

/**
 * The content of a file. Numbers stay text as written, because a name may look like a number.
 * @param option the option that names the file, for the message
 * @returns the content, null or undefined for an empty file, and the state of the file when it was
 * read
 * @throws Error that names the file and what to do
 */
export function readYamlFile(file: string, option: string): { content: unknown; stat: Stats } {
  const { text, stat } = readText(file, option);
  return { content: parse(text, file), stat };
}

function parse(text: string, file: string): unknown {
  try {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error) {
      throw new Error(`this is not YAML: ${error.message}`);
    }
    visit(document, {
      Scalar: (_key, scalar) => {
        if (typeof scalar.value === 'number' && scalar.source !== undefined) {
          scalar.value = scalar.source;
        }
      },
      Alias: () => {
        throw new Error('YAML aliases are not supported: write the value itself');
      },
    });
    return document.toJS();
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message.split('\n')[0]}`);
  }
}

function readText(file: string, option: string): { text: string; stat: Stats } {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const stat = fstatSync(descriptor);
      if (stat.size > MAX_SIZE) {
        throw new Error(`it has ${stat.size} bytes, and the limit is ${MAX_SIZE}`);
      }
      return { text: readFileSync(descriptor, 'utf8'), stat };
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new Error(`${file}: the file does not exist: give another file with ${option}`);
    }
    throw new Error(`${file}: it cannot be read: ${code ?? message}`);
  }
}
