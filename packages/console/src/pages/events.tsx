/** All events, by kind and by what they are about. */
import { MultiSelect, TextInput } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { useTopic } from '../data/stream.ts';
import { useTitle } from '../data/title.ts';
import { EVENT_KINDS } from '../parts/event-kinds.ts';
import { type EventKind, EventPages, useEventPage } from '../parts/event-list.tsx';
import { FilterBox } from '../parts/list-page.tsx';
import { Data } from '../parts/marks.tsx';
import { text } from '../text/index.ts';

const t = text.events;

export function EventsPage(): ReactNode {
  useTitle(text.menu.events);
  useTopic('events');
  const { kind, object, q } = useSearch({ from: '/events' });
  const navigate = useNavigate();
  const [typed, setTyped] = useState(object ?? '');
  const kinds = (kind?.split(',') ?? []) as EventKind[];
  const { error } = useEventPage({ kind: kinds, object, filter: q });
  const search = (change: { kind?: string | undefined; object?: string | undefined; q?: string | undefined }) => {
    const next = { kind, object, q, ...change };
    void navigate({
      to: '/events',
      search: {
        ...(next.kind && { kind: next.kind }),
        ...(next.object && { object: next.object }),
        ...(next.q && { q: next.q }),
      },
      replace: true,
    });
  };
  return (
    <>
      <div className="bar">
        <h1>{text.menu.events}</h1>
      </div>
      <div className="bar">
        <MultiSelect
          size="xs"
          w={420}
          aria-label={t.kinds}
          placeholder={kinds.length === 0 ? t.allKinds : ''}
          data={EVENT_KINDS}
          renderOption={({ option }) => <Data>{option.value}</Data>}
          value={kinds}
          onChange={(chosen) => search({ kind: chosen.join(',') })}
          searchable
          clearable
          clearButtonProps={{ 'aria-label': text.table.clearFilter }}
          maxDropdownHeight={280}
        />
        <form
          onSubmit={(event) => {
            event.preventDefault();
            search({ object: typed.trim() });
          }}
        >
          <TextInput
            w={260}
            aria-label={t.objectFilter}
            placeholder={t.objectHint}
            value={typed}
            onChange={({ currentTarget }) => setTyped(currentTarget.value)}
            onBlur={() => typed.trim() !== (object ?? '') && search({ object: typed.trim() })}
          />
        </form>
        <FilterBox value={q ?? ''} hint={t.filterHint} error={error} onFilter={(words) => search({ q: words })} />
      </div>
      <EventPages kind={kinds} object={object} filter={q} />
    </>
  );
}
