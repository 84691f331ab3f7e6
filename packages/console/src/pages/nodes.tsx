/** All nodes. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import { useList } from '../data/lists.ts';
import { useTopic } from '../data/stream.ts';
import { Allowed, AllowedPart } from '../parts/allowed.tsx';
import { DialogButton, FormDialog, refusalOf } from '../parts/dialog.tsx';
import { JoinTokens } from '../parts/join-tokens.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { NamePicker } from '../parts/name-picker.tsx';
import { NameField } from '../parts/named-resource.tsx';
import { NODE_COLUMNS } from '../parts/node-columns.tsx';
import { text } from '../text/index.ts';

const t = text.nodes;

export function NodesPage(): ReactNode {
  const search = useSearch({ from: '/nodes' });
  const navigate = useNavigate();
  useTopic('nodes');
  return (
    <>
      <ListPage
        title={text.menu.nodes}
        list={useList('nodes', { sort: search.sort, filter: search.q })}
        search={search}
        filterHint={t.filterHint}
        none={t.none}
        columns={NODE_COLUMNS}
        idOf={({ name }) => name}
        onOpen={({ name }) => void navigate({ to: '/nodes/$name', params: { name } })}
        actions={
          <Allowed right="nodes" label={t.create}>
            <DialogButton label={t.create} variant="filled" dialog={(close) => <NodeDialog onClose={close} />} />
          </Allowed>
        }
      />
      <section className="panel" aria-labelledby="join-tokens">
        <h2 id="join-tokens">{text.joinTokens.title}</h2>
        <AllowedPart right="nodes">
          <JoinTokens />
        </AllowedPart>
      </section>
    </>
  );
}

function NodeDialog({ onClose }: { onClose(): void }): ReactNode {
  const [name, setName] = useState('');
  const [pool, setPool] = useState('');
  const navigate = useNavigate();
  const save = async () => {
    const params = { path: { name }, header: { 'If-None-Match': '*' } };
    await answer(api.PUT('/api/v1/nodes/{name}', { params, body: { pool } }));
    await navigate({ to: '/nodes/$name', params: { name } });
  };
  return (
    <FormDialog
      title={t.create}
      submit={text.common.save}
      canSubmit={name !== '' && pool !== ''}
      onSubmit={save}
      onClose={onClose}
    >
      {(error) => (
        <>
          <p className="quiet">{t.createHow}</p>
          <NameField label={t.name} value={name} error={error} onChange={setName} />
          <NamePicker list="pools" label={t.pool} value={pool} onChange={setPool} error={refusalOf(error, 'pool')} />
        </>
      )}
    </FormDialog>
  );
}
