/** Users, for who manages access. */
import { useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { User } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { useLack } from '../data/rights.ts';
import { RefusedPage } from '../parts/allowed.tsx';
import { DialogButton } from '../parts/dialog.tsx';
import { GrantsCell } from '../parts/grants-cell.tsx';
import { ListPage } from '../parts/list-page.tsx';
import { Data, Mark } from '../parts/marks.tsx';
import { actionsColumn } from '../parts/named-resource.tsx';
import { SecretDialog } from '../parts/secret-dialog.tsx';
import type { Column } from '../parts/table.tsx';
import { UserDialog } from '../parts/user-dialog.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.people.users;

export function UsersPage(): ReactNode {
  const lack = useLack('access');
  return lack === undefined ? <Users /> : <RefusedPage title={t.title} why={lack} />;
}

function Users(): ReactNode {
  const search = useSearch({ from: '/users' });
  const [password, setPassword] = useState<string>();
  const actions = actionsColumn<User>({
    right: 'access',
    aboutOf: () => ({}),
    edit: (user, close) => <UserDialog user={user} onClose={close} onPassword={setPassword} />,
    deleteTitle: t.deleteTitle,
    deleteHow: t.deleteHow,
    onDelete: (name) => answer(api.DELETE('/api/v1/users/{name}', { params: { path: { name } } })),
  });
  return (
    <>
      <ListPage
        title={t.title}
        list={useList('users', { sort: search.sort, filter: search.q })}
        search={search}
        filterHint={t.filterHint}
        none={t.none}
        columns={[...COLUMNS, actions]}
        idOf={({ name }) => name}
        actions={
          <DialogButton
            label={t.create}
            variant="filled"
            dialog={(close) => <UserDialog onClose={close} onPassword={setPassword} />}
          />
        }
      />
      {password !== undefined && (
        <SecretDialog
          title={t.passwordIs}
          how={t.passwordHow}
          secret={password}
          onClose={() => setPassword(undefined)}
        />
      )}
    </>
  );
}

function StateCell({ user }: { user: User }): ReactNode {
  const { disabled, source, hasPassword, mustChangePassword } = user;
  if (disabled) {
    return (
      <Mark tone="quiet" sign="○">
        {t.states.disabled}
      </Mark>
    );
  }
  if (source === 'local' && !hasPassword) {
    return (
      <Mark tone="warn" sign="▲">
        {t.states.noPassword}
      </Mark>
    );
  }
  return (
    <Mark tone={mustChangePassword ? 'calm' : 'good'} sign={mustChangePassword ? '◔' : '●'}>
      {mustChangePassword ? t.states.mustChange : t.states.enabled}
    </Mark>
  );
}

const COLUMNS: readonly Column<User>[] = [
  { key: 'name', header: t.name, width: 'minmax(120px,1fr)', sort: 'name', cell: ({ name }) => <Data>{name}</Data> },
  { key: 'state', header: t.state, width: '140px', cell: (user) => <StateCell user={user} /> },
  {
    key: 'displayName',
    header: t.displayName,
    width: 'minmax(100px,1fr)',
    cell: ({ displayName }) => <Data>{displayName ?? ''}</Data>,
  },
  { key: 'source', header: t.source, width: '80px', sort: 'source', cell: ({ source }) => <Data>{source}</Data> },
  {
    key: 'grants',
    header: t.grants,
    width: 'minmax(140px,2fr)',
    cell: ({ grants }) => <GrantsCell grants={grants} />,
  },
  { key: 'app', header: t.app, width: '60px', cell: ({ totp }) => (totp ? t.yes : null) },
  {
    key: 'lastSignIn',
    header: t.lastSignIn,
    width: '190px',
    sort: 'lastSignInAt',
    cell: ({ lastSignInAt }) => (lastSignInAt === undefined ? null : dateTime(lastSignInAt)),
  },
];
