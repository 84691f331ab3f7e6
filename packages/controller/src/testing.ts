/** Internal parts of the controller for measurements. Nothing that is shipped imports this. */
export { EventLog } from './events/log.ts';
export { EventObserver } from './events/observer.ts';
export { History } from './history/history.ts';
export type { InterfaceRecord, NodeRecord, PolicyRecord } from './store/records.ts';
export { openSqliteStore } from './store/sqlite.ts';
export type { Operation } from './store/store.ts';
export { keyOf } from './store/view.ts';
export { openBoards } from './summaries/boards.ts';
export { Walks } from './summaries/walks.ts';
