/** Reads a file of settings: YAML, one mapping. */
import { requireNotReplaceable, requireUnchangeable } from './own-files.ts';
import { readYamlFile } from './yaml-file.ts';

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
  // It decides which controller and which programs are trusted.
  if (stat.isFile()) {
    requireUnchangeable(file, stat);
    requireNotReplaceable(file);
  }
  return content as Record<string, unknown>;
}
