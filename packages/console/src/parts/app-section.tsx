/** The authenticator app of a user: set it up, or do without it. */
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, lazy, type ReactNode, Suspense, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { User } from '../api/types.ts';
import { queryClient } from '../data/query-client.ts';
import { text } from '../text/index.ts';
import { CodeBlock } from './code-block.tsx';
import { DialogButton, FormDialog, refusalOf } from './dialog.tsx';
import { ProblemAlert } from './problem.tsx';
import { SecretDialog } from './secret-dialog.tsx';

const t = text.people.account;
const QrCode = lazy(() => import('./qr-code.tsx').then((module) => ({ default: module.QrCode })));

export function AppSection({ user }: { user: User }): ReactNode {
  const { name, totp, recoveryCodes } = user;
  const [shown, setShown] = useState<readonly string[]>();
  return (
    <div className="panel">
      <p>{totp ? t.appOn(recoveryCodes) : t.appOff}</p>
      {totp ? (
        <div>
          <DialogButton label={t.remove} dialog={(close) => <RemoveDialog name={name} onClose={close} />} />
        </div>
      ) : (
        <SetUp name={name} onConfirmed={setShown} />
      )}
      {shown && (
        <SecretDialog
          title={t.recoveryTitle}
          how={t.recoveryHow}
          secret={shown.join('\n')}
          onClose={() => setShown(undefined)}
        />
      )}
    </div>
  );
}

/** Two steps: the password gives a secret, a code of the app confirms it. */
function SetUp(props: { name: string; onConfirmed(recoveryCodes: readonly string[]): void }): ReactNode {
  const { name, onConfirmed } = props;
  const params = { path: { name } };
  const [password, setPassword] = useState('');
  const begin = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/users/{name}/totp', { params, body: { password } })),
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    begin.mutate();
  };
  return begin.data ? (
    <Confirm {...begin.data} name={name} onConfirmed={onConfirmed} />
  ) : (
    <form className="panel" onSubmit={send} aria-label={t.setUp}>
      <PasswordField value={password} error={begin.error} onChange={setPassword} />
      <ProblemAlert error={begin.error} />
      <div>
        <Button type="submit" loading={begin.isPending} disabled={password === ''}>
          {t.setUp}
        </Button>
      </div>
    </form>
  );
}

function Confirm(props: {
  name: string;
  secret: string;
  uri: string;
  onConfirmed(recoveryCodes: readonly string[]): void;
}): ReactNode {
  const { name, secret, uri, onConfirmed } = props;
  const [code, setCode] = useState('');
  const confirm = useMutation({
    mutationFn: () =>
      answer(api.PUT('/api/v1/users/{name}/totp', { params: { path: { name } }, body: { code: code.trim() } })),
    onSuccess: ({ recoveryCodes }) => {
      onConfirmed(recoveryCodes ?? []);
      void queryClient.invalidateQueries({ queryKey: ['users'] });
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    confirm.mutate();
  };
  return (
    <form className="panel" onSubmit={send}>
      <p>{t.secretHow}</p>
      <Suspense fallback={<p className="quiet">{text.common.loading}</p>}>
        <QrCode value={uri} label={t.picture} />
      </Suspense>
      <CodeBlock label={t.secret} code={secret} />
      <p>
        <a href={uri}>{t.openApp}</a>
      </p>
      <TextInput
        label={text.people.code}
        autoComplete="one-time-code"
        inputMode="numeric"
        value={code}
        onChange={({ currentTarget }) => setCode(currentTarget.value)}
        error={refusalOf(confirm.error, 'code')}
      />
      <ProblemAlert error={confirm.error} />
      <div>
        <Button type="submit" loading={confirm.isPending} disabled={code.trim() === ''}>
          {t.confirm}
        </Button>
      </div>
    </form>
  );
}

function RemoveDialog({ name, onClose }: { name: string; onClose(): void }): ReactNode {
  const [password, setPassword] = useState('');
  const remove = () =>
    answer(api.POST('/api/v1/users/{name}/totp/remove', { params: { path: { name } }, body: { password } }));
  return (
    <FormDialog title={t.removeTitle} submit={t.remove} canSubmit={password !== ''} onSubmit={remove} onClose={onClose}>
      {(error) => <PasswordField value={password} error={error} onChange={setPassword} />}
    </FormDialog>
  );
}

function PasswordField(props: { value: string; error: Error | null; onChange(value: string): void }): ReactNode {
  const { value, error, onChange } = props;
  return (
    <PasswordInput
      label={text.people.password}
      autoComplete="current-password"
      value={value}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
      error={refusalOf(error, 'password')}
      visibilityToggleButtonProps={{ 'aria-label': text.people.showPassword }}
    />
  );
}
