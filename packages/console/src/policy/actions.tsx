/** What can be done to a policy. Deleting asks for its name. */
import { Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Policy } from '../api/types.ts';
import { queryClient } from '../data/query-client.ts';
import { Allowed } from '../parts/allowed.tsx';
import { DialogButton, FormDialog } from '../parts/dialog.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';

const t = text.policy;

export function PolicyActions({ policy }: { policy: Policy }): ReactNode {
  const { name, enabled, revision } = policy;
  const toggle = useMutation({
    mutationFn: () => {
      const params = { path: { name }, header: { 'If-Match': `"${revision}"` } };
      return answer(api.PATCH('/api/v1/policies/{name}', { params, body: { enabled: !enabled } }));
    },
    onSettled: () => queryClient.invalidateQueries(),
  });
  const about = `policy/${name}` as const;
  return (
    <>
      <ProblemAlert error={toggle.error} />
      <Allowed right="policy" about={about} label={enabled ? t.disable : t.enable}>
        <Button variant="default" loading={toggle.isPending} onClick={() => toggle.mutate()}>
          {enabled ? t.disable : t.enable}
        </Button>
      </Allowed>
      <Allowed right="policy" about={about} label={t.edit}>
        <Button
          variant="default"
          renderRoot={(props) => <Link {...props} to="/policies/$name/edit" params={{ name }} search={{}} />}
        >
          {t.edit}
        </Button>
      </Allowed>
      <Button variant="default" renderRoot={(props) => <Link {...props} to="/policies/$name/test" params={{ name }} />}>
        {t.test}
      </Button>
      <Allowed right="policy" label={t.clone}>
        <Button variant="default" renderRoot={(props) => <Link {...props} to="/new-policy" search={{ clone: name }} />}>
          {t.clone}
        </Button>
      </Allowed>
      <Allowed right="policy" about={about} label={text.common.delete}>
        <DialogButton
          label={text.common.delete}
          color="red"
          dialog={(close) => <DeleteDialog name={name} onClose={close} />}
        />
      </Allowed>
    </>
  );
}

function DeleteDialog({ name, onClose }: { name: string; onClose(): void }): ReactNode {
  const [typed, setTyped] = useState('');
  const navigate = useNavigate();
  const remove = async () => {
    await answer(api.DELETE('/api/v1/policies/{name}', { params: { path: { name } } }));
    await navigate({ to: '/policies' });
  };
  return (
    <FormDialog
      title={t.deleteTitle(name)}
      submit={text.common.delete}
      color="red"
      canSubmit={typed === name}
      onSubmit={remove}
      onClose={onClose}
    >
      {() => (
        <>
          <p>{t.deleteHow}</p>
          <TextInput
            label={t.deleteName}
            value={typed}
            onChange={({ currentTarget }) => setTyped(currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
        </>
      )}
    </FormDialog>
  );
}
