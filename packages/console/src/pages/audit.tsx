/** Who asked for which change, and what became of it: a page at a time, the newest first. */
import { Button, TextInput } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { AuditEntry } from '../api/types.ts';
import { useLack } from '../data/rights.ts';
import { useTitle } from '../data/title.ts';
import { RefusedPage } from '../parts/allowed.tsx';
import { AuditChainState } from '../parts/audit-chain.tsx';
import { AuditChanges } from '../parts/audit-changes.tsx';
import classes from '../parts/event-list.module.css';
import { FilterBox } from '../parts/list-page.tsx';
import { Data, Mark } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ResourceLink } from '../parts/resource-link.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.audit;
const PAGE_ENTRIES = 100;

/** What is looked for: `q` is the filter, the others are times as the browser gives them. */
interface AuditSearch {
  q?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

/** A time of an input is UTC here, as all times are. Undefined: none is given. */
function isoOf(local: string | undefined): string | undefined {
  const at = local === undefined ? Number.NaN : Date.parse(`${local}Z`);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

function useAudit({ q, since, until }: AuditSearch) {
  const [from, to] = [isoOf(since), isoOf(until)];
  return useInfiniteQuery({
    queryKey: ['audit', { q, from, to }],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => {
      const query = {
        limit: PAGE_ENTRIES,
        ...(q && { filter: q }),
        ...(from && { since: from }),
        ...(to && { until: to }),
        ...(pageParam && { continue: pageParam }),
      };
      return answer(api.GET('/api/v1/audit', { params: { query }, signal }));
    },
    getNextPageParam: (page) => page.continue,
    placeholderData: (before) => before,
  });
}

export function AuditPage(): ReactNode {
  useTitle(text.menu.audit);
  const lack = useLack('audit');
  return lack === undefined ? <AuditLog /> : <RefusedPage title={text.menu.audit} why={lack} />;
}

function AuditLog(): ReactNode {
  const search = useSearch({ from: '/audit' });
  const navigate = useNavigate();
  const change = (more: AuditSearch) => {
    const { q, since, until } = { ...search, ...more };
    void navigate({
      to: '/audit',
      search: { ...(q && { q }), ...(since && { since }), ...(until && { until }) },
      replace: true,
    });
  };
  const { data, error, hasNextPage, fetchNextPage, isFetching } = useAudit(search);
  const entries = data?.pages.flatMap(({ items }) => items) ?? [];
  const isFiltered = Object.keys(search).length > 0;
  return (
    <>
      <div className="bar">
        <h1>{text.menu.audit}</h1>
        <span className="quiet">{t.how}</span>
      </div>
      <AuditChainState />
      <div className="bar">
        <FilterBox value={search.q ?? ''} hint={t.filterHint} error={error} onFilter={(q) => change({ q })} />
        <Time label={t.since} value={search.since} onChange={(since) => change({ since })} />
        <Time label={t.until} value={search.until} onChange={(until) => change({ until })} />
      </div>
      <ProblemAlert error={error} />
      {data && entries.length === 0 && !hasNextPage && <p className="quiet">{isFiltered ? t.filtered : t.none}</p>}
      {entries.length > 0 && <Entries entries={entries} />}
      {hasNextPage && (
        <div className="bar">
          <Button variant="default" disabled={isFetching} onClick={() => void fetchNextPage()}>
            {isFetching ? t.searching : t.more}
          </Button>
          {isFiltered && <span className="quiet">{t.searched}</span>}
        </div>
      )}
    </>
  );
}

interface TimeProps {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

function Time({ label, value, onChange }: TimeProps): ReactNode {
  const [typed, setTyped] = useState(value ?? '');
  return (
    <TextInput
      type="datetime-local"
      label={label}
      value={typed}
      onChange={({ currentTarget }) => {
        setTyped(currentTarget.value);
        onChange(currentTarget.value || undefined);
      }}
    />
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }): ReactNode {
  return (
    <div className={classes.box}>
      <table className={classes.events}>
        <thead>
          <tr>
            <th scope="col">{t.at}</th>
            <th scope="col">{t.actor}</th>
            <th scope="col">{t.address}</th>
            <th scope="col">{t.action}</th>
            <th scope="col">{t.resource}</th>
            <th scope="col">{t.outcome}</th>
            <th scope="col">{t.changes}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: entries have no id, and none comes between two others.
            <EntryRow key={index} entry={entry} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const OUTCOMES = {
  done: ['good', '✓'],
  unchanged: ['quiet', '–'],
  refused: ['warn', '✕'],
  failed: ['bad', '✕'],
} as const;

function EntryRow({ entry }: { entry: AuditEntry }): ReactNode {
  const { time, actor, actorKind, address, action, resource, outcome, code, count, unproven } = entry;
  const [tone, sign] = OUTCOMES[outcome];
  return (
    <tr>
      <td className="number" translate="no">
        {dateTime(time)}
      </td>
      <td>
        <Data>{actor}</Data> {actorKind !== undefined && <span className="quiet">{t.kinds[actorKind]}</span>}
      </td>
      <td>
        <Data>{address}</Data>
      </td>
      <td>
        <Data>{action}</Data>
      </td>
      <td>
        <ResourceLink resource={resource} />
      </td>
      <td>
        <Mark tone={tone} sign={sign}>
          {t.outcomes[outcome]}
        </Mark>{' '}
        {code !== undefined && <Data>{code}</Data>} {count !== undefined && t.times(count)}{' '}
        {unproven === 'foreign' && (
          <Mark tone="bad" sign="!">
            {t.unproven.foreign}
          </Mark>
        )}
        {unproven === 'older' && <span className="quiet">{t.unproven.older}</span>}
      </td>
      <td>
        <AuditChanges {...entry} />
      </td>
    </tr>
  );
}
