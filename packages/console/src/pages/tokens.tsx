/** API tokens: one's own, or all for who manages access. */

import { NumberInput, TextInput } from '@mantine/core';
import { parseGrants } from '@mirrorplane/contract/grant-text';
import { useSearch } from '@tanstack/react-router';
import { type ReactNode, useState, useSyncExternalStore } from 'react';
import { answer, api } from '../api/client.ts';
import { session } from '../api/session.ts';
import type { ApiToken } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { OrRefused } from '../parts/allowed.tsx';
import { ConfirmButton, DialogButton, FormDialog, refusalOf } from '../parts/dialog.tsx';
import { GrantsCell } from '../parts/grants-cell.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { Data } from '../parts/marks.tsx';
import { NameField } from '../parts/named-resource.tsx';
import { SecretDialog } from '../parts/secret-dialog.tsx';
import type { Column } from '../parts/table.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.people.tokens;
const DAY_MS = 24 * 60 * 60 * 1000;

export function TokensPage(): ReactNode {
  const search = useSearch({ from: '/tokens' });
  const [made, setMade] = useState<string>();
  const { kind, grants = [] } = useSyncExternalStore(session.subscribe, session.state);
  const why = kind === 'apiToken' ? t.notByToken : grants.length === 0 ? t.noGrants : undefined;
  return (
    <>
      <ListPage
        title={t.title}
        list={useList('tokens', { sort: search.sort, filter: search.q })}
        search={search}
        filterHint={t.filterHint}
        none={t.none}
        columns={COLUMNS}
        idOf={({ name }) => name}
        actions={
          <OrRefused label={t.create} why={why}>
            <DialogButton
              label={t.create}
              variant="filled"
              dialog={(close) => <CreateDialog onClose={close} onMade={setMade} />}
            />
          </OrRefused>
        }
      />
      {made !== undefined && (
        <SecretDialog title={t.tokenIs} how={t.tokenHow} secret={made} onClose={() => setMade(undefined)} />
      )}
    </>
  );
}

const COLUMNS: readonly Column<ApiToken>[] = [
  { key: 'name', header: t.name, width: 'minmax(140px,2fr)', sort: 'name', cell: ({ name }) => <Data>{name}</Data> },
  { key: 'user', header: t.user, width: 'minmax(90px,1fr)', sort: 'user', cell: ({ user }) => <Data>{user}</Data> },
  { key: 'source', header: t.source, width: '70px', cell: ({ source }) => <Data>{source}</Data> },
  {
    key: 'grants',
    header: text.people.users.grants,
    width: 'minmax(120px,2fr)',
    cell: ({ grants }) => <GrantsCell grants={grants} />,
  },
  {
    key: 'ends',
    header: t.ends,
    width: '190px',
    sort: 'expiresAt',
    cell: ({ expiresAt }) => (expiresAt === undefined ? t.never : dateTime(expiresAt)),
  },
  {
    key: 'used',
    header: t.lastUsed,
    width: '190px',
    sort: 'lastUsedAt',
    cell: ({ lastUsedAt }) => (lastUsedAt === undefined ? null : dateTime(lastUsedAt)),
  },
  {
    key: 'actions',
    header: text.table.actions,
    width: '110px',
    align: 'end',
    cell: ({ name }) => (
      <ConfirmButton
        label={t.revoke}
        title={t.revokeTitle(name)}
        how={t.revokeHow}
        onConfirm={() => answer(api.DELETE('/api/v1/tokens/{name}', { params: { path: { name } } }))}
      />
    ),
  },
];

function CreateDialog({ onClose, onMade }: { onClose(): void; onMade(token: string): void }): ReactNode {
  const [name, setName] = useState('');
  const [days, setDays] = useState<number | string>(90);
  const [grants, setGrants] = useState('');
  const create = async () => {
    const expiresAt = days === '' ? ('never' as const) : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
    const wanted = parseGrants(grants);
    const body = { name, expiresAt, ...(wanted.length > 0 && { grants: wanted }) };
    const { token } = await answer(api.POST('/api/v1/tokens', { body }));
    onMade(token);
  };
  return (
    <FormDialog title={t.create} submit={t.create} canSubmit={name !== ''} onSubmit={create} onClose={onClose}>
      {(error) => (
        <>
          <NameField label={t.name} value={name} error={error} onChange={setName} />
          <NumberInput
            label={t.days}
            description={t.daysHow}
            min={1}
            max={3650}
            value={days}
            onChange={setDays}
            error={refusalOf(error, 'expiresAt')}
          />
          <TextInput
            label={text.people.users.grants}
            description={t.grantsHow}
            value={grants}
            onChange={({ currentTarget }) => setGrants(currentTarget.value)}
            error={refusalOf(error, 'grants')}
          />
        </>
      )}
    </FormDialog>
  );
}
