/** Reads a file of settings: YAML, one mapping. */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { parseDocument, visit } from 'yaml';
import { requirePrivate } from './private-file.ts';

/** Settings that are secrets. A file with such a setting must not be readable by other users. */
const SECRETS = ['token'];
/** The largest settings file, in bytes. */
const MAX_SIZE = 65_536;

/**
 * The mapping in a file. An empty file gives an empty mapping. Numbers stay text as written,
 * because a name may look like a number.
 * @throws Error that names the file and what to do
 */
export function readSettingsFile(file: string): Record<string, unknown> {
  const { text, stat } = readText(file);
  const content = parse(text, file);
  if (content === null || content === undefined) {
    return {};
  }
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new Error(`${file}: write one setting per line, for example "logLevel: info"`);
  }
  const secret = SECRETS.find((key) => Object.hasOwn(content, key));
  if (secret !== undefined) {
    requirePrivate(file, stat, `its ${secret}`);
  }
  return content as Record<string, unknown>;
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

function readText(file: string): { text: string; stat: Stats } {
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
      throw new Error(`${file}: the file does not exist: give another file with --config`);
    }
    throw new Error(`${file}: it cannot be read: ${code ?? message}`);
  }
}
