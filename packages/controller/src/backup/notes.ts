/**
 * Notes that commands leave in the store, where no controller runs that could write to the audit log.
 * The first one that leads there tells them.
 */
import { hostname, userInfo } from 'node:os';
import type { AuditDraft } from '@mirrorplane/contract';
import { CONTROLLER_ACTOR } from '../audit/actors.ts';
import type { AuditLog } from '../audit/audit.ts';
import type { Store } from '../store/store.ts';

/** Who has run a command, and where. */
export interface Author {
  /** The name of the host. */
  host: string;
  /** The user there. */
  user: string;
}

/** Who runs this command. */
export const author = (): Author => ({ host: hostname(), user: userInfo().username });

/** What a note is in the audit log. */
export interface Told {
  action: AuditDraft['action'];
  resource: string;
  detail: string;
}

/** Where a note is, and where it goes. */
export interface NoteParts {
  store: Pick<Store, 'get' | 'txn'>;
  audit: Pick<AuditLog, 'append'>;
  /** Told what an operator has to know. */
  tell: (message: string) => void;
}

/**
 * Tells the note with this key in the audit log, if there is one. A controller that is killed
 * meanwhile tells it twice.
 */
export async function tellNote<R>(
  key: string,
  { store, audit, tell }: NoteParts,
  toldOf: (record: R) => Told,
): Promise<void> {
  const found = (await store.get(key))?.value as R | undefined;
  if (found === undefined) {
    return;
  }
  const told = toldOf(found);
  await audit.append({ ...CONTROLLER_ACTOR, ...told, outcome: 'done' });
  tell(told.detail);
  await store.txn({ compare: [], ops: [{ type: 'delete', key }] });
}
