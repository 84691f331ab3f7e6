/** The only page for who has a password that others have seen. */
import { Button } from '@mantine/core';
import { type ReactNode, useSyncExternalStore } from 'react';
import { session } from '../api/session.ts';
import { PasswordForm } from '../parts/password-form.tsx';
import { text } from '../text/index.ts';

const t = text.people.account;

export function MustChangePage(): ReactNode {
  const { name } = useSyncExternalStore(session.subscribe, session.state);
  return (
    <main style={{ maxWidth: 480, margin: '12vh auto', padding: 16 }}>
      <h1>{t.changePassword}</h1>
      <p>{t.mustChange}</p>
      <PasswordForm name={name!} />
      <p>
        <Button variant="default" onClick={() => void session.signOut()}>
          {text.session.signOut}
        </Button>
      </p>
    </main>
  );
}
