/** Confirms a login of the command line: shows from where it was asked. */
import { Alert, Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState, useSyncExternalStore } from 'react';
import { answer, api } from '../api/client.ts';
import { session } from '../api/session.ts';
import type { DeviceRequest } from '../api/types.ts';
import { useTitle } from '../data/title.ts';
import { Facts } from '../parts/facts.tsx';
import { Data } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.people.device;

export function DevicePage(): ReactNode {
  useTitle(t.title);
  const { kind } = useSyncExternalStore(session.subscribe, session.state);
  const [code, setCode] = useState('');
  const find = useMutation({
    mutationFn: () => answer(api.GET('/api/v1/device-logins/{code}', { params: { path: { code: code.trim() } } })),
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    find.mutate();
  };
  return (
    <div style={{ maxWidth: 560 }}>
      <h1>{t.title}</h1>
      {kind !== 'user' ? (
        <Alert color="blue" role="status">
          {t.noPerson}
        </Alert>
      ) : find.data ? (
        <Decision login={find.data} />
      ) : (
        <form className="panel" onSubmit={send}>
          <p>{t.how}</p>
          <TextInput
            label={t.code}
            placeholder="WDJB-MJHT"
            autoComplete="off"
            value={code}
            onChange={({ currentTarget }) => setCode(currentTarget.value)}
            autoFocus
          />
          <ProblemAlert error={find.error} />
          <div>
            <Button type="submit" loading={find.isPending} disabled={code.trim() === ''}>
              {t.find}
            </Button>
          </div>
        </form>
      )}
    </div>
  );
}

function Decision({ login }: { login: DeviceRequest }): ReactNode {
  const { userCode, address, host, askedAt, tokenExpiresAt } = login;
  const decide = useMutation({
    mutationFn: async (confirm: boolean) => {
      const params = { path: { code: userCode } };
      await answer(api.POST('/api/v1/device-logins/{code}', { params, body: { confirm } }));
      return confirm;
    },
  });
  if (decide.data !== undefined) {
    return (
      <Alert color={decide.data ? 'green' : 'blue'} role="status">
        {decide.data ? t.confirmed : t.refused}
      </Alert>
    );
  }
  return (
    <div className="panel">
      <h2>{t.question}</h2>
      <Facts
        facts={[
          [t.code, <Data key="code">{userCode}</Data>],
          [t.address, <Data key="address">{address}</Data>],
          [t.host, host && <Data key="host">{host}</Data>],
          [t.asked, dateTime(askedAt)],
          [t.ends, dateTime(tokenExpiresAt)],
        ]}
      />
      <p>{t.warning}</p>
      <ProblemAlert error={decide.error} />
      <div className="bar">
        <Button onClick={() => decide.mutate(true)} loading={decide.isPending}>
          {t.confirm}
        </Button>
        <Button variant="default" onClick={() => decide.mutate(false)} disabled={decide.isPending}>
          {t.refuse}
        </Button>
      </div>
    </div>
  );
}
