/** Changing one's own password. */
import { Alert, Button, PasswordInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import { session } from '../api/session.ts';
import { text } from '../text/index.ts';
import { refusalOf } from './dialog.tsx';
import { ProblemAlert } from './problem.tsx';

const t = text.people;

export function PasswordForm({ name }: { name: string }): ReactNode {
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const change = useMutation({
    mutationFn: () => {
      const params = { path: { name } };
      return answer(api.POST('/api/v1/users/{name}/password', { params, body: { current, password } }));
    },
    onSuccess: () => {
      setCurrent('');
      setPassword('');
      void session.refresh();
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  const fieldOf = (label: string, value: string, onChange: (value: string) => void, more: object) => (
    <PasswordInput
      label={label}
      value={value}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
      visibilityToggleButtonProps={{ 'aria-label': t.showPassword }}
      {...more}
    />
  );
  const error = change.error;
  return (
    <form className="panel" onSubmit={send}>
      {fieldOf(t.account.current, current, setCurrent, {
        autoComplete: 'current-password',
        error: refusalOf(error, 'current'),
      })}
      {fieldOf(t.account.next, password, setPassword, {
        autoComplete: 'new-password',
        description: t.account.nextHow,
        error: refusalOf(error, 'password'),
      })}
      <ProblemAlert error={error} />
      {change.isSuccess && (
        <Alert color="green" role="status">
          {t.account.changed}
        </Alert>
      )}
      <div>
        <Button type="submit" loading={change.isPending} disabled={current === '' || password === ''}>
          {t.account.changePassword}
        </Button>
      </div>
    </form>
  );
}
