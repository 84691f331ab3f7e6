/**
 * Sessions of people in the shared space: sixteen values, by the first digit of the id, so that a
 * sign-in writes a small one. When a session was used is written in steps, so that a session in use
 * costs a write now and then.
 */
import type { FileChanges } from '../store/file-copies.ts';

export const SESSIONS_PREFIX = 'sessions/';
/** Milliseconds. A session that is unused for two hours ends: at most this much too early. */
const USED_STEP_MS = 5 * 60_000;
const DIGITS = '0123456789abcdef';

/** What is needed of a session here. */
interface Kept {
  id: string;
  usedAt: number;
}

/** The files of these sessions. */
export function sessionFiles(sessions: readonly Kept[]): FileChanges {
  const groups = new Map([...DIGITS].map((digit): [string, Kept[]] => [digit, []]));
  for (const session of sessions) {
    groups.get(session.id[0]!)?.push({ ...session, usedAt: session.usedAt - (session.usedAt % USED_STEP_MS) });
  }
  return Object.fromEntries(
    [...groups].map(([digit, group]) => [
      SESSIONS_PREFIX + digit,
      group.length === 0 ? undefined : JSON.stringify(group.sort((a, b) => (a.id < b.id ? -1 : 1))),
    ]),
  );
}

/** The same of the text of `sessions.json`. A text that cannot be read has none. */
export function splitSessions(text: string): Record<string, string> {
  let sessions: unknown;
  try {
    sessions = JSON.parse(text);
  } catch {
    return {};
  }
  const kept = Array.isArray(sessions) ? sessions.filter((one): one is Kept => typeof one?.id === 'string') : [];
  const files = Object.entries(sessionFiles(kept));
  return Object.fromEntries(files.filter((file): file is [string, string] => file[1] !== undefined));
}

/** The text of `sessions.json` for the contents of these files. */
export function joinSessions(texts: readonly string[]): string {
  return JSON.stringify(texts.flatMap((text) => JSON.parse(text) as unknown[]));
}
