/** Internal parts of the controller for measurements. Nothing that is shipped imports this. */
export { EventLog } from './events/log.ts';
export { EventObserver } from './events/observer.ts';
export { History } from './history/history.ts';
export type { InterfaceRecord, NodeRecord, PolicyRecord } from './store/records.ts';
export { openSqliteStore } from './store/sqlite.ts';
export type { Operation } from './store/store.ts';
export { keyOf } from './store/view.ts';
export { StreamHub } from './streams/hub.ts';
export { topicSources } from './streams/sources.ts';
export { TopicStream } from './streams/topic-stream.ts';
export { openBoards } from './summaries/boards.ts';
export { PolicyPaths } from './summaries/path.ts';
export { Walks } from './summaries/walks.ts';
