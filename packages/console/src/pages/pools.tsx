/** Resource pools: clusters of nodes. */
import { Checkbox } from '@mantine/core';
import { useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Pool } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { Allowed } from '../parts/allowed.tsx';
import { DialogButton, FormDialog, refusalOf } from '../parts/dialog.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { Data } from '../parts/marks.tsx';
import { NamePicker } from '../parts/name-picker.tsx';
import { actionsColumn, NameField } from '../parts/named-resource.tsx';
import type { Column } from '../parts/table.tsx';
import { text } from '../text/index.ts';

const t = text.pools;

export function PoolsPage(): ReactNode {
  const search = useSearch({ from: '/pools' });
  return (
    <ListPage
      title={text.menu.pools}
      list={useList('pools', { sort: search.sort, filter: search.q })}
      search={search}
      filterHint={t.filterHint}
      none={t.none}
      columns={[...COLUMNS, ACTIONS]}
      idOf={({ name }) => name}
      actions={
        <Allowed right="inventory" label={t.create}>
          <DialogButton label={t.create} variant="filled" dialog={(close) => <PoolDialog onClose={close} />} />
        </Allowed>
      }
    />
  );
}

const COLUMNS: readonly Column<Pool>[] = [
  { key: 'name', header: t.name, width: 'minmax(140px,1fr)', sort: 'name', cell: ({ name }) => <Data>{name}</Data> },
  {
    key: 'domain',
    header: t.domain,
    width: 'minmax(140px,1fr)',
    sort: 'domain',
    cell: ({ domain }) => <Data>{domain}</Data>,
  },
  {
    key: 'underlay',
    header: t.underlay,
    width: 'minmax(140px,1fr)',
    cell: ({ underlay = 'plain' }) => t.underlays[underlay],
  },
  {
    key: 'description',
    header: text.common.description,
    width: 'minmax(200px,2fr)',
    cell: ({ description }) => <Data>{description}</Data>,
  },
];

const ACTIONS = actionsColumn<Pool>({
  right: 'inventory',
  aboutOf: ({ name }) => ({ pool: name }),
  edit: (pool, close) => <PoolDialog pool={pool} onClose={close} />,
  deleteTitle: t.deleteTitle,
  deleteHow: t.deleteHow,
  onDelete: (name) => answer(api.DELETE('/api/v1/pools/{name}', { params: { path: { name } } })),
});

function PoolDialog({ pool, onClose }: { pool?: Pool; onClose(): void }): ReactNode {
  const [name, setName] = useState(pool?.name ?? '');
  const [domain, setDomain] = useState(pool?.domain ?? '');
  const [isEncrypted, setEncrypted] = useState(pool?.underlay === 'wireguard');
  const save = () => {
    const params = { path: { name }, ...(!pool && { header: { 'If-None-Match': '*' } }) };
    const underlay: Pool['underlay'] = isEncrypted ? 'wireguard' : 'plain';
    const body = { domain, description: pool?.description ?? '', underlay };
    return answer(api.PUT('/api/v1/pools/{name}', { params, body }));
  };
  return (
    <FormDialog
      title={pool ? text.common.change(pool.name) : t.create}
      submit={text.common.save}
      canSubmit={name !== '' && domain !== ''}
      onSubmit={save}
      onClose={onClose}
    >
      {(error) => (
        <>
          {!pool && <NameField label={t.name} value={name} error={error} onChange={setName} />}
          <NamePicker
            list="domains"
            label={t.domain}
            value={domain}
            onChange={setDomain}
            error={refusalOf(error, 'domain')}
          />
          <Checkbox
            label={t.encrypt}
            description={t.encryptHow}
            checked={isEncrypted}
            onChange={({ currentTarget }) => setEncrypted(currentTarget.checked)}
            error={refusalOf(error, 'underlay')}
          />
        </>
      )}
    </FormDialog>
  );
}
