/** The small files of a data directory that all controllers of a cluster have alike. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import { COUNTERS_PREFIX } from './shared-files.ts';
import { joinSessions, SESSIONS_PREFIX, splitSessions } from './shared-sessions.ts';

/** The file of the latest time that was seen. */
export const LATEST_TIME_FILE = 'latest-time';
/** The authority, tokens in files, the first password, and the time that ends are judged by. */
const NAMES = [
  'ca.key',
  'ca.crt',
  'next-ca.key',
  'next-ca.crt',
  'former-ca.crt',
  'admin-token',
  'read-token',
  'first-password',
  LATEST_TIME_FILE,
] as const;
const SESSIONS_FILE = 'sessions.json';
const COUNTERS_FILE = /^[\w.%-]+[.]json$/;

/** Whether the directory has an authority. */
export const hasAuthority = (data: string) => existsSync(path.join(data, 'ca.crt'));

/** The files of a data directory, by the names that they have in the store. */
export function readLocalFiles(data: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of NAMES) {
    const content = readIfThere(path.join(data, name));
    if (content !== undefined) {
      files[name] = content;
    }
  }
  const folder = path.join(data, COUNTERS_PREFIX);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (COUNTERS_FILE.test(name)) {
      files[COUNTERS_PREFIX + name.slice(0, -'.json'.length)] = readFileSync(path.join(folder, name), 'utf8');
    }
  }
  const sessions = readIfThere(path.join(data, SESSIONS_FILE));
  return { ...files, ...(sessions !== undefined && splitSessions(sessions)) };
}

/**
 * Makes the files of a data directory those that the store has.
 * @param counters true: totals of nodes too. A controller with etcd reads them from the store
 * @returns names of the files that were others
 */
export function writeLocalFiles(data: string, contents: ReadonlyMap<string, string>, counters = false): string[] {
  const wanted = new Map<string, string | undefined>(NAMES.map((name) => [name, contents.get(name)]));
  const sessions = [...contents].filter(([name]) => name.startsWith(SESSIONS_PREFIX));
  wanted.set(SESSIONS_FILE, sessions.length === 0 ? undefined : joinSessions(sessions.map(([, text]) => text)));
  const changed: string[] = [];
  for (const [name, content] of wanted) {
    const file = path.join(data, name);
    if (readIfThere(file) === content) {
      continue;
    }
    changed.push(name);
    if (content === undefined) {
      rmSync(file, { force: true });
    } else {
      replaceFileSync(file, content, { folder: false });
    }
  }
  rmSync(path.join(data, COUNTERS_PREFIX), { recursive: true, force: true });
  if (counters) {
    writeCounters(data, contents);
  }
  syncFolder(data);
  return changed;
}

function writeCounters(data: string, contents: ReadonlyMap<string, string>): void {
  const folder = path.join(data, COUNTERS_PREFIX);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [name, content] of contents) {
    const file = `${name.slice(COUNTERS_PREFIX.length)}.json`;
    if (name.startsWith(COUNTERS_PREFIX) && COUNTERS_FILE.test(file)) {
      replaceFileSync(path.join(folder, file), content, { folder: false });
    }
  }
  syncFolder(folder);
}

function readIfThere(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
