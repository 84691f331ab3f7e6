/** Signing in with a token of the controller. */
import { Alert, Button, PasswordInput } from '@mantine/core';
import { type FormEvent, type ReactNode, useState, useSyncExternalStore } from 'react';
import { type SessionState, session } from '../api/session.ts';
import { Said } from '../parts/marks.tsx';
import { OtherWays } from '../parts/other-ways.tsx';
import { text } from '../text/index.ts';

export function SignInPage(): ReactNode {
  const state = useSyncExternalStore(session.subscribe, session.state);
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    await session.signIn(token.trim());
    setBusy(false);
  };
  return (
    <main style={{ maxWidth: 420, margin: '12vh auto', padding: 16 }}>
      <h1>{text.session.title}</h1>
      <form onSubmit={submit} className="panel">
        <Why state={state} />
        <PasswordInput
          label={text.session.token}
          description={text.session.tokenWhere}
          autoComplete="current-password"
          value={token}
          onChange={({ currentTarget }) => setToken(currentTarget.value)}
          autoFocus
          visibilityToggleButtonProps={{ 'aria-label': text.session.showToken }}
        />
        <div>
          <Button type="submit" loading={busy} disabled={token.trim() === ''}>
            {text.session.signIn}
          </Button>
        </div>
      </form>
      <OtherWays />
    </main>
  );
}

/** Why one has to sign in again. */
function Why({ state: { phase, why } }: { state: SessionState }): ReactNode {
  if (phase === 'away') {
    return (
      <Alert color="red" role="alert" title={text.problems.away}>
        {text.problems.awayRemedy}{' '}
        <Button variant="default" onClick={() => void session.start()}>
          {text.common.again}
        </Button>
      </Alert>
    );
  }
  if (why === 'ended') {
    return (
      <Alert color="blue" role="status">
        {text.session.ended}
      </Alert>
    );
  }
  return why === undefined ? null : (
    <Alert color="red" role="alert" title={<Said>{why.title}</Said>}>
      <Said>{why.detail}</Said>
    </Alert>
  );
}
