/**
 * That a store comes from a backup: `restore` notes it in the store, and the first controller that
 * leads there tells it. What was done between the backup and the restore is in no log any more, so
 * an auditor has to see that there is such a time.
 */
import type { Contents } from '../store/contents.ts';
import type { Json } from '../store/store.ts';
import { type Author, author, type NoteParts, tellNote } from './notes.ts';

const RESTORED_KEY = 'meta/restored';

interface RestoredRecord extends Author {
  /** When the backup was made, and when it was restored. ISO 8601. */
  madeAt: string;
  restoredAt: string;
  /** The highest revision that the backup names. */
  revision: number;
}

/** What to write to the store: the contents of a backup, and that they are from it. */
export function asRestored({ entries, revision, madeAt }: Contents & { madeAt: string }, now: Date): Contents {
  const record: RestoredRecord = { madeAt, restoredAt: now.toISOString(), revision, ...author() };
  // A backup of a store that no controller had started on since its own restore has a note, too.
  const before = entries.filter(({ key }) => key < RESTORED_KEY);
  const after = entries.filter(({ key }) => key > RESTORED_KEY);
  return { entries: [...before, { key: RESTORED_KEY, value: record as unknown as Json }, ...after], revision };
}

/** Tells in the audit log that the store comes from a backup, if it does and nobody has told it. */
export function tellRestored(parts: NoteParts): Promise<void> {
  return tellNote<RestoredRecord>(RESTORED_KEY, parts, ({ madeAt, restoredAt, revision, host, user }) => ({
    action: 'restore',
    resource: 'store',
    detail: `${user} on host ${host} has restored the backup of ${madeAt} (revision ${revision}) at ${restoredAt}: what was done between these times is undone, and what was revoked is valid again`,
  }));
}
