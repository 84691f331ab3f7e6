/**
 * That a store comes from a backup: `restore` notes it in the store, and the first controller that
 * leads there tells it. What was done between the backup and the restore is in no log any more, so
 * an auditor has to see that there is such a time.
 */
import { hostname, userInfo } from 'node:os';
import { CONTROLLER_ACTOR } from '../audit/actors.ts';
import type { AuditLog } from '../audit/audit.ts';
import type { Contents } from '../store/contents.ts';
import type { Json, Store } from '../store/store.ts';

const RESTORED_KEY = 'meta/restored';

interface RestoredRecord {
  /** When the backup was made, and when it was restored. ISO 8601. */
  madeAt: string;
  restoredAt: string;
  /** The highest revision that the backup names. */
  revision: number;
  /** The name of the host, and the user there who has restored it. */
  host: string;
  user: string;
}

/** What to write to the store: the contents of a backup, and that they are from it. */
export function asRestored({ entries, revision, madeAt }: Contents & { madeAt: string }, now: Date): Contents {
  const record: RestoredRecord = {
    madeAt,
    restoredAt: now.toISOString(),
    revision,
    host: hostname(),
    user: userInfo().username,
  };
  // A backup of a store that no controller had started on since its own restore has a note, too.
  const before = entries.filter(({ key }) => key < RESTORED_KEY);
  const after = entries.filter(({ key }) => key > RESTORED_KEY);
  return { entries: [...before, { key: RESTORED_KEY, value: record as unknown as Json }, ...after], revision };
}

/**
 * Tells in the audit log that the store comes from a backup, if it does and nobody has told it. A
 * controller that is killed meanwhile tells it twice.
 */
export async function tellRestored(
  store: Pick<Store, 'get' | 'txn'>,
  audit: Pick<AuditLog, 'append'>,
  tell: (message: string) => void,
): Promise<void> {
  const found = (await store.get(RESTORED_KEY))?.value as RestoredRecord | undefined;
  if (found === undefined) {
    return;
  }
  const { madeAt, restoredAt, revision, host, user } = found;
  const detail = `${user} on host ${host} has restored the backup of ${madeAt} (revision ${revision}) at ${restoredAt}: what was done between these times is undone, and what was revoked is valid again`;
  await audit.append({ ...CONTROLLER_ACTOR, action: 'restore', resource: 'store', outcome: 'done', detail });
  tell(detail);
  await store.txn({ compare: [], ops: [{ type: 'delete', key: RESTORED_KEY }] });
}
