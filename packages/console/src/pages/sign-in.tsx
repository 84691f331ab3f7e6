/** Signing in, with a password or with a token of the controller. */
import { Alert, Button, PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, type ReactNode, useState, useSyncExternalStore } from 'react';
import { type SessionState, type SignIn, session } from '../api/session.ts';
import { Said } from '../parts/marks.tsx';
import { OtherWays } from '../parts/other-ways.tsx';
import { text } from '../text/index.ts';

const t = text.people;

export function SignInPage(): ReactNode {
  const state = useSyncExternalStore(session.subscribe, session.state);
  const [isByToken, setByToken] = useState(false);
  return (
    <main style={{ maxWidth: 420, margin: '12vh auto', padding: 16 }}>
      <h1>{text.session.title}</h1>
      {isByToken ? <TokenForm state={state} /> : <PasswordForm state={state} />}
      <p>
        <Button variant="default" onClick={() => setByToken(!isByToken)}>
          {isByToken ? t.withPassword : t.withToken}
        </Button>
      </p>
      <OtherWays />
    </main>
  );
}

/** A form that signs in with what it has. */
function SignInForm(props: { state: SessionState; given: SignIn | undefined; children: ReactNode }): ReactNode {
  const { state, given, children } = props;
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (given) {
      setBusy(true);
      await session.signIn(given);
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="panel">
      <Why state={state} />
      {children}
      <div>
        <Button type="submit" loading={busy} disabled={given === undefined}>
          {text.session.signIn}
        </Button>
      </div>
    </form>
  );
}

function PasswordForm({ state }: { state: SessionState }): ReactNode {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  // It is asked for when the password was right once, and stays then.
  const [wasAsked, setAsked] = useState(false);
  const isAsked = wasAsked || (typeof state.why === 'object' && state.why.code === 'TOTP_REQUIRED');
  if (isAsked !== wasAsked) {
    setAsked(isAsked);
  }
  const isWhole = user.trim() !== '' && password !== '' && (!isAsked || code.trim() !== '');
  const given = isWhole ? { user: user.trim(), password, ...(isAsked && { totp: code.trim() }) } : undefined;
  return (
    <SignInForm state={state} given={given}>
      <TextInput
        label={t.user}
        autoComplete="username"
        value={user}
        onChange={({ currentTarget }) => setUser(currentTarget.value)}
        autoFocus
      />
      <PasswordInput
        label={t.password}
        autoComplete="current-password"
        value={password}
        onChange={({ currentTarget }) => setPassword(currentTarget.value)}
        visibilityToggleButtonProps={{ 'aria-label': t.showPassword }}
      />
      {isAsked && (
        <TextInput
          label={t.code}
          description={t.codeHow}
          autoComplete="one-time-code"
          inputMode="numeric"
          value={code}
          onChange={({ currentTarget }) => setCode(currentTarget.value)}
          autoFocus
        />
      )}
    </SignInForm>
  );
}

function TokenForm({ state }: { state: SessionState }): ReactNode {
  const [token, setToken] = useState('');
  return (
    <SignInForm state={state} given={token.trim() === '' ? undefined : { token: token.trim() }}>
      <PasswordInput
        label={text.session.token}
        description={text.session.tokenWhere}
        autoComplete="off"
        value={token}
        onChange={({ currentTarget }) => setToken(currentTarget.value)}
        autoFocus
        visibilityToggleButtonProps={{ 'aria-label': text.session.showToken }}
      />
    </SignInForm>
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
    <Alert color={why.code === 'TOTP_REQUIRED' ? 'blue' : 'red'} role="alert" title={<Said>{why.title}</Said>}>
      <Said>{why.detail}</Said>
    </Alert>
  );
}
