/** Lists of the server: a page at a time, sorted and filtered there. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { useCallback } from 'react';
import { answer, api } from '../api/client.ts';
import type {
  ApiToken,
  DestinationSummary,
  Domain,
  InterfaceSummary,
  NodeSummary,
  PolicySource,
  PolicySummary,
  Pool,
  User,
} from '../api/types.ts';

/** Rows of one page. A table asks for the next when one is nearly seen. */
const PAGE_ROWS = 200;

/** What a list is asked for. */
export interface ListQuery {
  sort?: string | undefined;
  filter?: string | undefined;
  /** Milliseconds between two readings, for what the stream does not tell. Left out: it tells all. */
  everyMs?: number;
}

/** One page of a list. */
export interface Page<T> {
  items: T[];
  total?: number | null;
  continue?: string | undefined;
}

type Asked = { limit: number; sort?: never; filter?: string; continue?: string };

type AnyPage = Promise<{ items: unknown[]; total: number; continue?: string }>;
/**
 * A list that has summaries is asked for them: the answer is as long as the table, however large
 * the things are.
 */
const summaries = <T>(page: AnyPage): Promise<Page<T>> => page as Promise<Page<T>>;

/**
 * How each list is read. The fields that a list sorts by are checked by the server: it names those
 * that it has.
 */
const READ = {
  policies: (query: Asked, signal: AbortSignal) =>
    summaries<PolicySummary>(
      answer(api.GET('/api/v1/policies', { params: { query: { ...query, view: 'summary' } }, signal })),
    ),
  interfaces: (query: Asked, signal: AbortSignal) =>
    summaries<InterfaceSummary>(
      answer(api.GET('/api/v1/interfaces', { params: { query: { ...query, view: 'summary' } }, signal })),
    ),
  nodes: (query: Asked, signal: AbortSignal) =>
    summaries<NodeSummary>(
      answer(api.GET('/api/v1/nodes', { params: { query: { ...query, view: 'summary' } }, signal })),
    ),
  destinations: (query: Asked, signal: AbortSignal): Promise<Page<DestinationSummary>> =>
    answer(api.GET('/api/v1/destinations', { params: { query }, signal })),
  pools: (query: Asked, signal: AbortSignal): Promise<Page<Pool>> =>
    answer(api.GET('/api/v1/pools', { params: { query }, signal })),
  domains: (query: Asked, signal: AbortSignal): Promise<Page<Domain>> =>
    answer(api.GET('/api/v1/domains', { params: { query }, signal })),
  users: (query: Asked, signal: AbortSignal): Promise<Page<User>> =>
    answer(api.GET('/api/v1/users', { params: { query }, signal })),
  tokens: (query: Asked, signal: AbortSignal): Promise<Page<ApiToken>> =>
    answer(api.GET('/api/v1/tokens', { params: { query }, signal })),
};
export type ListName = keyof typeof READ;
type RowOf<K extends ListName> = Awaited<ReturnType<(typeof READ)[K]>>['items'][number];

/** A list as a table shows it. */
export interface ListState<T> {
  rows: T[];
  /** Null: not known. */
  total: number | null;
  isLoading: boolean;
  error: Error | null;
  more: (() => void) | undefined;
}

/** How often lists of interfaces are read again: the stream does not tell what interfaces carry. */
export const TRAFFIC_EVERY_MS = 10_000;

/** A list under any key, read by `read`. */
export function usePages<T>(
  key: readonly unknown[],
  read: (query: Asked, signal: AbortSignal) => Promise<Page<T>>,
  { sort, filter, everyMs }: ListQuery,
  enabled = true,
): ListState<T> {
  const query = useInfiniteQuery({
    queryKey: [...key, { sort, filter }],
    enabled,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => {
      const asked = {
        limit: PAGE_ROWS,
        ...(sort && { sort }),
        ...(filter && { filter }),
        ...(pageParam && { continue: pageParam }),
      };
      return read(asked as Asked, signal);
    },
    getNextPageParam: (page) => page.continue,
    refetchInterval: everyMs ?? false,
    placeholderData: (before) => before,
  });
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  return {
    rows: data?.pages.flatMap(({ items }) => items) ?? [],
    total: data?.pages.at(-1)?.total ?? null,
    isLoading: query.isPending && enabled,
    error: query.error,
    more: hasNextPage && !isFetchingNextPage ? more : undefined,
  };
}

/** One of the lists. */
export function useList<K extends ListName>(name: K, query: ListQuery, enabled = true): ListState<RowOf<K>> {
  return usePages<RowOf<K>>([name], READ[name] as never, query, enabled);
}

/** The sources of a policy, with what is seen of each. */
export function useSources(policy: string, query: ListQuery): ListState<PolicySource> {
  const path = { name: policy };
  const read = (asked: Asked, signal: AbortSignal): Promise<Page<PolicySource>> =>
    answer(api.GET('/api/v1/policies/{name}/sources', { params: { path, query: asked }, signal }));
  return usePages([`policy:${policy}`, 'sources'], read, query);
}

/** Reads a list page by page, to its end or to so many rows. */
export async function readList<K extends ListName>(name: K, query: ListQuery, most: number): Promise<RowOf<K>[]> {
  const rows: RowOf<K>[] = [];
  let place: string | undefined;
  do {
    const asked = { limit: 1000, ...query, ...(place && { continue: place }) };
    const page = (await READ[name](asked as Asked, AbortSignal.timeout(30_000))) as Page<RowOf<K>>;
    rows.push(...page.items);
    place = page.continue;
  } while (place !== undefined && rows.length < most);
  return rows.slice(0, most);
}
