/** Internal parts of the controller for measurements. Nothing that is shipped imports this. */
export type { InterfaceRecord, PolicyRecord } from './store/records.ts';
export { openSqliteStore } from './store/sqlite.ts';
export type { Operation } from './store/store.ts';
export { keyOf } from './store/view.ts';
