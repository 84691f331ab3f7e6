/** Reads a file of settings: YAML, one mapping. */
import { requireNotReplaceable, requireUnchangeable } from './own-files.ts';
import { requirePrivate } from './private-file.ts';
import { readYamlFile } from './yaml-file.ts';

/** Settings that are secrets. A file with such a setting must not be readable by other users. */
const SECRETS = ['token'];

/**
 * The mapping in a file. An empty file gives an empty mapping. Numbers stay text.
 * @throws Error that names the file and what to do
 */
export function readSettingsFile(file: string): Record<string, unknown> {
  const { content, stat } = readYamlFile(file, '--config');
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
  // It decides which controller and which programs are trusted.
  if (stat.isFile()) {
    requireUnchangeable(file, stat);
    requireNotReplaceable(file);
  }
  return content as Record<string, unknown>;
}
