/**
 * The first screen: what is mirrored, how the nodes are, where copies go, and what happened last.
 */
import { Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useState } from 'react';
import { type ListState, useList } from '../data/lists.ts';
import { useTopic } from '../data/stream.ts';
import { useTitle } from '../data/title.ts';
import { Approvals } from '../parts/approvals.tsx';
import { DESTINATION_COLUMNS } from '../parts/destination-columns.tsx';
import { EventList } from '../parts/event-list.tsx';
import { FirstSteps } from '../parts/first-steps.tsx';
import { NODE_COLUMNS } from '../parts/node-columns.tsx';
import { POLICY_COLUMNS } from '../parts/policy-columns.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { type Column, DataTable } from '../parts/table.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { NewPolicyButton } from './policies.tsx';

/** Pixels of the tables: the first screen shows some of each, and the pages all. */
const [TALL, LOW] = [330, 220];

export function OverviewPage(): ReactNode {
  useTitle(text.menu.overview);
  useTopic('policies');
  useTopic('nodes');
  useTopic('destinations');
  useTopic('events');
  const nodes = useList('nodes', {});
  const policies = useList('policies', {});
  const isNew = !policies.isLoading && !policies.error && policies.rows.length === 0;
  return (
    <>
      <div className="bar">
        <h1>{text.menu.overview}</h1>
        <span className="grow" />
        <NewPolicyButton />
      </div>
      <Approvals />
      {isNew ? <FirstSteps nodes={nodes.rows} /> : <Policies />}
      <div className="grid-2">
        <Nodes />
        <Destinations />
      </div>
      <section className="panel" aria-labelledby="last-events">
        <div className="bar">
          <h2 id="last-events">{text.overview.events}</h2>
          <Link to="/events">{text.overview.allEvents}</Link>
        </div>
        <EventList limit={12} />
      </section>
    </>
  );
}

interface PanelProps<T> {
  to: string;
  label: string;
  list: ListState<T>;
  sort: string;
  onSort(sort: string): void;
  columns: readonly Column<T>[];
  idOf(row: T): string;
  onOpen(row: T): void;
  none: ReactNode;
  height: number;
}

/** A list in short: its head has the number, and the way to all of it. */
function Panel<T>({ to, label, list, none, ...table }: PanelProps<T>): ReactNode {
  return (
    <section className="panel" aria-label={label}>
      <div className="bar">
        <h2>
          {label} {list.total !== null && <span className="quiet number">{number(list.total)}</span>}
        </h2>
        <Link to={to}>{text.overview.all(label)}</Link>
      </div>
      <ProblemAlert error={list.error} />
      <DataTable
        {...table}
        label={label}
        rows={list.rows}
        total={list.total}
        onMore={list.more}
        empty={list.isLoading ? text.common.loading : list.error ? text.table.failed : none}
      />
    </section>
  );
}

function Policies(): ReactNode {
  const navigate = useNavigate();
  const [sort, onSort] = useState('name');
  return (
    <Panel
      {...{ sort, onSort }}
      to="/policies"
      label={text.menu.policies}
      list={useList('policies', { sort })}
      columns={POLICY_COLUMNS}
      idOf={({ name }) => name}
      onOpen={({ name }) => void navigate({ to: '/policies/$name', params: { name } })}
      none={text.policies.none}
      height={TALL}
    />
  );
}

function Nodes(): ReactNode {
  const navigate = useNavigate();
  const [sort, onSort] = useState('name');
  return (
    <Panel
      {...{ sort, onSort }}
      to="/nodes"
      label={text.menu.nodes}
      list={useList('nodes', { sort })}
      columns={NODE_COLUMNS}
      idOf={({ name }) => name}
      onOpen={({ name }) => void navigate({ to: '/nodes/$name', params: { name } })}
      none={text.nodes.none}
      height={LOW}
    />
  );
}

function Destinations(): ReactNode {
  const navigate = useNavigate();
  const [sort, onSort] = useState('id');
  return (
    <Panel
      {...{ sort, onSort }}
      to="/destinations"
      label={text.menu.destinations}
      list={useList('destinations', { sort })}
      columns={DESTINATION_COLUMNS}
      idOf={({ id }) => id}
      onOpen={({ id }) => void navigate({ to: '/interfaces/$id', params: { id } })}
      none={text.destinations.none}
      height={LOW}
    />
  );
}
