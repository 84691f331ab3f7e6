/** Keeps the newest signed checkpoint of the audit log in the store, where the log cannot be cut short with it. */
import type { Heads } from '../audit/audit.ts';
import { AUDIT_HEAD_KEY } from './records.ts';
import type { Store } from './store.ts';

export function auditHeads(store: Store): Heads {
  return {
    async read() {
      return (await store.get(AUDIT_HEAD_KEY))?.value as string | undefined;
    },
    async write(line) {
      await store.txn({ compare: [], ops: [{ type: 'put', key: AUDIT_HEAD_KEY, value: line }] });
    },
  };
}
