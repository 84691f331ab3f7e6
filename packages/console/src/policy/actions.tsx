/** What can be done to a policy. Deleting asks for its name. */
import { Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Policy } from '../api/types.ts';
import { queryClient } from '../data/query-client.ts';
import { useRight } from '../data/rights.ts';
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
  if (!useRight('policy')) {
    return <span className="quiet">{text.policies.readOnly}</span>;
  }
  return (
    <>
      <ProblemAlert error={toggle.error} />
      <Button variant="default" loading={toggle.isPending} onClick={() => toggle.mutate()}>
        {enabled ? t.disable : t.enable}
      </Button>
      <Button
        variant="default"
        renderRoot={(props) => <Link {...props} to="/policies/$name/edit" params={{ name }} search={{}} />}
      >
        {t.edit}
      </Button>
      <Button variant="default" renderRoot={(props) => <Link {...props} to="/policies/$name/test" params={{ name }} />}>
        {t.test}
      </Button>
      <Button variant="default" renderRoot={(props) => <Link {...props} to="/new-policy" search={{ clone: name }} />}>
        {t.clone}
      </Button>
      <DialogButton
        label={text.common.delete}
        color="red"
        dialog={(close) => <DeleteDialog name={name} onClose={close} />}
      />
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
