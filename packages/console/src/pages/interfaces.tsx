/** All interfaces, observed and declared. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { TRAFFIC_EVERY_MS, useList } from '../data/lists.ts';
import { Allowed } from '../parts/allowed.tsx';
import { DialogButton } from '../parts/dialog.tsx';
import { EdgeDialog } from '../parts/edge-dialog.tsx';
import { INTERFACE_COLUMNS } from '../parts/interface-columns.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { text } from '../text/index.ts';

export function InterfacesPage(): ReactNode {
  const search = useSearch({ from: '/interfaces' });
  const navigate = useNavigate();
  return (
    <ListPage
      title={text.menu.interfaces}
      list={useList('interfaces', { sort: search.sort, filter: search.q, everyMs: TRAFFIC_EVERY_MS })}
      search={search}
      filterHint={text.interfaces.filterHint}
      none={text.interfaces.none}
      columns={INTERFACE_COLUMNS}
      idOf={({ id }) => id}
      onOpen={({ id }) => void navigate({ to: '/interfaces/$id', params: { id } })}
      actions={
        <Allowed right="inventory" label={text.interfaces.declareEdge}>
          <DialogButton
            label={text.interfaces.declareEdge}
            variant="filled"
            dialog={(close) => <EdgeDialog onClose={close} />}
          />
        </Allowed>
      }
    />
  );
}
