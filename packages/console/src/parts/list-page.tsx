/**
 * What the pages of lists have in common: a title, a filter that the server reads, the table, and
 * why it is empty.
 */
import { Button, Switch, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { ProblemError } from '../api/client.ts';
import type { ListState } from '../data/lists.ts';
import type { ListSearch } from '../data/search.ts';
import { useTitle } from '../data/title.ts';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Said } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';
import { DataTable, type TableProps } from './table.tsx';

/** Milliseconds after the last key until the server is asked. */
const TYPING_MS = 300;

/** A filter box. `onFilter` is told what to ask for, when typing has paused. */
export function FilterBox(props: {
  value: string;
  hint: string;
  error: Error | null;
  onFilter(filter: string): void;
}): ReactNode {
  const { value, hint, error, onFilter } = props;
  const [typed, setTyped] = useState(value);
  const told = useRef(value);
  useEffect(() => {
    // The address was changed by something else: going back, a link.
    if (value !== told.current) {
      told.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    if (typed === told.current) {
      return;
    }
    const timer = setTimeout(() => {
      told.current = typed;
      onFilter(typed);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, onFilter]);
  const refused = error instanceof ProblemError ? error.problem.errors?.find(({ field }) => field === 'filter') : null;
  return (
    <TextInput
      type="search"
      w={360}
      aria-label={text.table.filter}
      placeholder={hint}
      value={typed}
      onChange={({ currentTarget }) => setTyped(currentTarget.value)}
      error={refused ? <Said>{refused.message}</Said> : undefined}
    />
  );
}

type Shown<T> = Pick<TableProps<T>, 'columns' | 'idOf' | 'onOpen' | 'height' | 'choice'>;

/** A list with its filter and count. */
export function ListTable<T>(
  props: Shown<T> & {
    label: string;
    list: ListState<T>;
    search: ListSearch;
    onSearch(search: ListSearch): void;
    filterHint: string;
    /** What it says where there is nothing, and no filter hides it. */
    none: ReactNode;
    children?: ReactNode;
  },
): ReactNode {
  const { label, list, search, onSearch, filterHint, none, children, ...shown } = props;
  const { rows, total, isLoading, error, more } = list;
  const search$ = useRef({ search, onSearch });
  search$.current = { search, onSearch };
  const [onFilter] = useState(() => (q: string) => {
    const { search: now, onSearch: tell } = search$.current;
    tell({ ...(now.sort && { sort: now.sort }), ...(q && { q }) });
  });
  return (
    <>
      <div className="bar">
        <FilterBox value={search.q ?? ''} hint={filterHint} error={error} onFilter={onFilter} />
        <span className="quiet number" role="status">
          {isLoading
            ? text.common.loading
            : total === null
              ? text.table.some(number(rows.length))
              : text.table.all(number(total))}
        </span>
        <span className="grow" />
        {children}
      </div>
      <ProblemAlert error={error} />
      <DataTable
        {...shown}
        label={label}
        rows={rows}
        total={more === undefined && total === null ? rows.length : total}
        sort={search.sort ?? ''}
        onSort={(sort) => onSearch({ ...search, sort })}
        onMore={more}
        empty={<Empty {...{ isLoading, error, search, none }} onClear={() => onFilter('')} />}
      />
    </>
  );
}

/** Why there is nothing to see. */
function Empty(props: {
  isLoading: boolean;
  error: Error | null;
  search: ListSearch;
  none: ReactNode;
  onClear(): void;
}): ReactNode {
  const { isLoading, error, search, none, onClear } = props;
  if (isLoading) {
    return text.common.loading;
  }
  if (error) {
    return text.table.failed;
  }
  return search.q ? (
    <>
      {text.table.filtered}{' '}
      <Button variant="default" onClick={onClear}>
        {text.table.clearFilter}
      </Button>
    </>
  ) : (
    none
  );
}

/** Switches one word of the filter of a page on and off. */
export function WordToggle({ label, word, search }: { label: string; word: string; search: ListSearch }): ReactNode {
  const navigate = useNavigate();
  const words = (search.q ?? '').split(/\s+/).filter((one) => one !== '');
  const isOn = words.includes(word);
  const toggle = () => {
    const q = (isOn ? words.filter((one) => one !== word) : [...words, word]).join(' ');
    void navigate({ to: '.', search: { ...search, q: q || undefined } as never, replace: true });
  };
  return <Switch label={label} checked={isOn} onChange={toggle} />;
}

/** The page of a list: its search is that of the address. */
export function ListPage<T>(
  props: Shown<T> & {
    title: string;
    list: ListState<T>;
    search: ListSearch;
    filterHint: string;
    none: ReactNode;
    actions?: ReactNode;
  },
): ReactNode {
  const { title, actions, ...rest } = props;
  const navigate = useNavigate();
  useTitle(title);
  return (
    <>
      <div className="bar">
        <h1>{title}</h1>
        <span className="grow" />
        {actions}
      </div>
      <ListTable
        {...rest}
        label={title}
        onSearch={(search) => void navigate({ to: '.', search: search as never, replace: true })}
      />
    </>
  );
}
