/** Communication domains: pools of one domain reach each other. */
import { TextInput } from '@mantine/core';
import { useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Domain } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { Allowed } from '../parts/allowed.tsx';
import { DialogButton, FormDialog, refusalOf } from '../parts/dialog.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { Data } from '../parts/marks.tsx';
import { actionsColumn, NameField } from '../parts/named-resource.tsx';
import type { Column } from '../parts/table.tsx';
import { text } from '../text/index.ts';

const t = text.domains;

export function DomainsPage(): ReactNode {
  const search = useSearch({ from: '/domains' });
  return (
    <ListPage
      title={text.menu.domains}
      list={useList('domains', { sort: search.sort, filter: search.q })}
      search={search}
      filterHint={t.filterHint}
      none={t.none}
      columns={[...COLUMNS, ACTIONS]}
      idOf={({ name }) => name}
      actions={
        <Allowed right="inventory" label={t.create}>
          <DialogButton
            label={t.create}
            variant="filled"
            dialog={(close) => <DomainDialog title={t.create} onClose={close} />}
          />
        </Allowed>
      }
    />
  );
}

const COLUMNS: readonly Column<Domain>[] = [
  { key: 'name', header: t.name, width: 'minmax(140px,1fr)', sort: 'name', cell: ({ name }) => <Data>{name}</Data> },
  {
    key: 'description',
    header: text.common.description,
    width: 'minmax(200px,3fr)',
    cell: ({ description }) => <Data>{description}</Data>,
  },
];

const ACTIONS = actionsColumn<Domain>({
  right: 'inventory',
  // In a scope, domains can only be read.
  aboutOf: () => ({}),
  edit: (domain, close) => <DomainDialog title={text.common.change(domain.name)} domain={domain} onClose={close} />,
  deleteTitle: t.deleteTitle,
  deleteHow: t.deleteHow,
  onDelete: (name) => answer(api.DELETE('/api/v1/domains/{name}', { params: { path: { name } } })),
});

function DomainDialog({ title, domain, onClose }: { title: string; domain?: Domain; onClose(): void }): ReactNode {
  const [name, setName] = useState(domain?.name ?? '');
  const [description, setDescription] = useState(domain?.description ?? '');
  const save = () => {
    const params = { path: { name }, ...(!domain && { header: { 'If-None-Match': '*' } }) };
    return answer(api.PUT('/api/v1/domains/{name}', { params, body: { description } }));
  };
  return (
    <FormDialog title={title} submit={text.common.save} canSubmit={name !== ''} onSubmit={save} onClose={onClose}>
      {(error) => (
        <>
          {!domain && <NameField label={t.name} value={name} error={error} onChange={setName} />}
          <TextInput
            label={text.common.description}
            value={description}
            onChange={({ currentTarget }) => setDescription(currentTarget.value)}
            error={refusalOf(error, 'description')}
          />
        </>
      )}
    </FormDialog>
  );
}
