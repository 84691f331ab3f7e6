/**
 * What the stream says, brought into what is shown: rows that are here change in place, lists are
 * asked for again.
 */
import type { InfiniteData } from '@tanstack/react-query';
import type { PolicyPath, PolicyStatus, PolicySummary } from '../api/types.ts';
import type { ListQuery, Page } from './lists.ts';
import { queryClient } from './query-client.ts';
import { type Delta, onAsk, onDelta } from './stream.ts';

/**
 * Milliseconds until a list is read again because something came or went, and because its order may
 * have changed.
 */
const [SOON_MS, LATER_MS] = [1000, 10_000];
/** Milliseconds between two readings of the sources of a policy, which the stream does not tell. */
const SOURCES_MS = 3000;

type Row = Record<string, unknown>;
type Pages = InfiniteData<Page<Row>>;
/** The topics that have lists, and what their rows are known by. */
const KEYS: Record<string, string> = {
  policies: 'name',
  nodes: 'name',
  interfaces: 'id',
  destinations: 'id',
  events: 'id',
};

const due = new Map<string, { at: number; timer: ReturnType<typeof setTimeout> }>();
/** The rows of each topic that the stream has told of: others are new. */
const known = new Map<string, Set<unknown>>();

/** Reads what begins with this key again, once for all that ask for it until then. */
export function readAgain(queryKey: readonly string[], inMs = SOON_MS): void {
  const key = queryKey.join(' ');
  const at = Date.now() + inMs;
  const waiting = due.get(key);
  if (waiting !== undefined && waiting.at <= at) {
    return;
  }
  clearTimeout(waiting?.timer);
  const timer = setTimeout(() => {
    due.delete(key);
    void queryClient.invalidateQueries({ queryKey });
  }, inMs);
  due.set(key, { at, timer });
}

/**
 * The pages of a list with its rows changed in place. What an upsert leaves out stays as it was.
 */
function merged(data: Pages, key: string, upserts: ReadonlyMap<unknown, Row>): Pages {
  const pages = data.pages.map((page) => {
    const changes = page.items.some((item) => upserts.has(item[key]));
    return changes ? { ...page, items: page.items.map((item) => ({ ...item, ...upserts.get(item[key]) })) } : page;
  });
  return { ...data, pages };
}

/**
 * True where a list that is shown may have another order, or other rows, because rows have changed:
 * it is filtered, or sorted by something else than its key.
 */
function isOrderOther(list: string, key: string): boolean {
  return queryClient
    .getQueryCache()
    .findAll({ queryKey: [list], type: 'active' })
    .some(({ queryKey }) => {
      const { sort = key, filter } = (queryKey[1] ?? {}) as ListQuery;
      return Boolean(filter) || (sort !== '' && sort.replace('-', '') !== key);
    });
}

/** True where a row of the topic came or went. */
function isOther(topic: string, rows: ReadonlyMap<unknown, Row>, { snapshot, removed }: Delta): boolean {
  const before = known.get(topic);
  if (snapshot || before === undefined) {
    known.set(topic, new Set(rows.keys()));
    // Where the stream broke off, nobody knows what came and went meanwhile.
    return before !== undefined;
  }
  const size = before.size;
  for (const id of rows.keys()) {
    before.add(id);
  }
  for (const id of removed) {
    before.delete(id);
  }
  return removed.length > 0 || before.size > size;
}

/**
 * What the stream tells of one policy: its summary, and of its status what is not one item for each
 * source.
 */
type PolicyNow = PolicySummary & { path: PolicyPath } & Pick<
    PolicyStatus,
    'totals' | 'delivered' | 'lost' | 'paths' | 'countersAt' | 'stale'
  >;

/** The last thing that was told of each policy. */
const told = new Map<string, PolicyNow>();

/**
 * Brings what the stream says of a policy into its page. The status and the policy itself have an
 * item for each source: they are read again only where more than counters has changed.
 */
function applyPolicy(topic: string, now: PolicyNow): void {
  const before = told.get(topic);
  told.set(topic, now);
  const { totals, delivered, lost, paths, countersAt, stale, state, health, rates, createdBy } = now;
  queryClient.setQueryData<PolicyStatus>([topic, 'status'], (status) =>
    status ? { ...status, totals, delivered, lost, paths, countersAt, stale, state } : status,
  );
  queryClient.setQueryData([topic, 'traffic'], { health, rates, createdBy });
  const isSame = before?.revision === now.revision && JSON.stringify(before.reasons) === JSON.stringify(now.reasons);
  if (!isSame || before.state !== now.state) {
    void queryClient.invalidateQueries({ queryKey: [topic, 'one'] });
    void queryClient.invalidateQueries({ queryKey: [topic, 'status'] });
    void queryClient.invalidateQueries({ queryKey: ['events'] });
  }
  queryClient.setQueryData([topic, 'path'], now.path);
  readAgain([topic, 'sources'], SOURCES_MS);
}

function apply(topic: string, delta: Delta): void {
  // One destination is a row of the list of all.
  const list = topic.startsWith('destination:') ? 'destinations' : topic;
  const key = KEYS[list];
  const [one] = delta.upserts;
  if (topic.startsWith('policy:') && one !== undefined) {
    applyPolicy(topic, one as PolicyNow);
    return;
  }
  if (key === undefined || topic === 'events') {
    // Events come in order, and one interface has a page of its own: both are read again.
    void queryClient.invalidateQueries({ queryKey: [topic] });
    return;
  }
  const rows = new Map((delta.upserts as Row[]).map((row) => [row[key], row]));
  for (const [queryKey, data] of queryClient.getQueriesData<Pages>({ queryKey: [list] })) {
    if (data?.pages) {
      queryClient.setQueryData(queryKey, merged(data, key, rows));
    }
  }
  const isOne = list !== topic;
  if (isOther(topic, rows, delta)) {
    readAgain([list], SOON_MS);
  } else if (!isOne && isOrderOther(list, key)) {
    readAgain([list], LATER_MS);
  }
}

/**
 * Reads again what is shown of lists, policies and interfaces. Forms and what is made once are left
 * alone.
 */
function readShown(): void {
  void queryClient.invalidateQueries({
    predicate: ({ queryKey: [key] }) => typeof key === 'string' && (key in KEYS || /^(policy|interface):/.test(key)),
  });
}

/** Begins to bring changes into what is shown. Returns what ends that. */
export function startUpdates(): () => void {
  const stops = [onDelta(apply), onAsk(readShown)];
  return () => {
    for (const stop of stops) {
      stop();
    }
    for (const { timer } of due.values()) {
      clearTimeout(timer);
    }
    due.clear();
    known.clear();
    told.clear();
  };
}
