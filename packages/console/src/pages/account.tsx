/** One's own account: who one is, the password, and the authenticator app. */

import { formatGrants } from '@mirrorplane/contract/grant-text';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useSyncExternalStore } from 'react';
import { answer, api } from '../api/client.ts';
import { session } from '../api/session.ts';
import { useTitle } from '../data/title.ts';
import { AppSection } from '../parts/app-section.tsx';
import { Facts } from '../parts/facts.tsx';
import { Data } from '../parts/marks.tsx';
import { PasswordForm } from '../parts/password-form.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';

const t = text.people.account;

export function AccountPage(): ReactNode {
  useTitle(t.title);
  const {
    name = '',
    kind = 'user',
    displayName,
    source,
    grants = [],
    rights = [],
  } = useSyncExternalStore(session.subscribe, session.state);
  return (
    <>
      <h1>{t.title}</h1>
      <Facts
        facts={[
          [t.name, <Data key="name">{name}</Data>],
          [t.displayName, displayName && <Data key="displayName">{displayName}</Data>],
          [t.kind, t.kinds[kind]],
          [t.grants, <Data key="grants">{formatGrants(grants) || text.common.none}</Data>],
          [t.rights, rights.length === 0 ? t.noRights : <Data key="rights">{rights.join(', ')}</Data>],
        ]}
      />
      {source === 'local' && <LocalAccount name={name} />}
    </>
  );
}

/** What a user signs in with who has a password here. */
function LocalAccount({ name }: { name: string }): ReactNode {
  const user = useQuery({
    queryKey: ['users', name],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/users/{name}', { params: { path: { name } }, signal })),
  });
  return (
    <div style={{ maxWidth: 560 }}>
      <h2>{t.changePassword}</h2>
      <PasswordForm name={name} />
      <h2>{t.app}</h2>
      <ProblemAlert error={user.error} />
      {user.data && <AppSection user={user.data} />}
    </div>
  );
}
