/** What the stream says, brought into what is shown: rows that are here change in place, lists are asked for again. */
import type { InfiniteData } from '@tanstack/react-query';
import type { Page } from './lists.ts';
import { queryClient } from './query-client.ts';
import { type Delta, onDelta } from './stream.ts';

/** Milliseconds between two readings of the same list because something came, went or changed its place. */
const AGAIN_MS = 2000;

type Row = Record<string, unknown>;
/** The topics that have lists, and what their rows are known by. */
const KEYS: Record<string, string> = { policies: 'name', nodes: 'name', destinations: 'id', events: 'id' };

const due = new Map<string, ReturnType<typeof setTimeout>>();

/** Reads what begins with this key again, soon, and once for all that ask for it. */
export function readAgain(key: string): void {
  if (due.has(key)) {
    return;
  }
  const timer = setTimeout(() => {
    due.delete(key);
    void queryClient.invalidateQueries({ queryKey: [key] });
  }, AGAIN_MS);
  due.set(key, timer);
}

/** The pages of a list with rows changed in place, and whether some are not in it. */
function merged(data: InfiniteData<Page<Row>>, key: string, upserts: ReadonlyMap<unknown, Row>) {
  const missing = new Set(upserts.keys());
  const pages = data.pages.map((page) => {
    let changed = false;
    const items = page.items.map((item) => {
      const next = upserts.get(item[key]);
      missing.delete(item[key]);
      changed ||= next !== undefined;
      return next ?? item;
    });
    return changed ? { ...page, items } : page;
  });
  return { data: { ...data, pages }, complete: missing.size === 0 };
}

function apply(topic: string, { upserts, removed, snapshot }: Delta): void {
  const key = KEYS[topic];
  if (key === undefined) {
    // One policy, one interface: pages of it ask for what they show.
    void queryClient.invalidateQueries({ queryKey: [topic] });
    return;
  }
  const rows = new Map((upserts as Row[]).map((row) => [row[key], row]));
  let complete = removed.length === 0;
  for (const [queryKey, data] of queryClient.getQueriesData<InfiniteData<Page<Row>>>({ queryKey: [topic] })) {
    if (data?.pages) {
      const result = merged(data, key, rows);
      queryClient.setQueryData(queryKey, result.data);
      complete &&= result.complete;
    }
  }
  if (!complete && !snapshot) {
    readAgain(topic);
  }
}

/** Begins to bring changes into what is shown. Returns what ends that. */
export function startUpdates(): () => void {
  const stop = onDelta(apply);
  return () => {
    stop();
    for (const timer of due.values()) {
      clearTimeout(timer);
    }
    due.clear();
  };
}
