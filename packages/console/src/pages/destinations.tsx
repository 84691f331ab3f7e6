/** All interfaces that receive copies. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useList } from '../data/lists.ts';
import { useTopic } from '../data/stream.ts';
import { DESTINATION_COLUMNS } from '../parts/destination-columns.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { text } from '../text/index.ts';

export function DestinationsPage(): ReactNode {
  const search = useSearch({ from: '/destinations' });
  const navigate = useNavigate();
  useTopic('destinations');
  return (
    <ListPage
      title={text.menu.destinations}
      list={useList('destinations', { sort: search.sort, filter: search.q })}
      search={search}
      filterHint={text.destinations.filterHint}
      none={text.destinations.none}
      columns={DESTINATION_COLUMNS}
      idOf={({ id }) => id}
      onOpen={({ id }) => void navigate({ to: '/interfaces/$id', params: { id } })}
    />
  );
}
