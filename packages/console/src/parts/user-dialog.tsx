/** Makes or changes a user. A password that is made is given to who asked, to show it once. */

import { Checkbox, TextInput } from '@mantine/core';
import { formatGrants, parseGrants } from '@mirrorplane/contract/grant-text';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { User } from '../api/types.ts';
import { text } from '../text/index.ts';
import { FormDialog, refusalOf } from './dialog.tsx';

const t = text.people.users;

export function UserDialog(props: { user?: User; onClose(): void; onPassword(password: string): void }): ReactNode {
  const { user, onClose, onPassword } = props;
  const [name, setName] = useState(user?.name ?? '');
  const [displayName, setDisplayName] = useState(user?.displayName ?? '');
  const [grants, setGrants] = useState(formatGrants(user?.grants ?? []));
  const [disabled, setDisabled] = useState(user?.disabled ?? false);
  const [isNewPassword, setNewPassword] = useState(!user);
  const [removesApp, setRemovesApp] = useState(false);
  const save = async () => {
    const path = { name };
    const body = { grants: parseGrants(grants), disabled, ...(displayName !== '' && { displayName }) };
    const params = { path, ...(!user && { header: { 'If-None-Match': '*' } }) };
    await answer(api.PUT('/api/v1/users/{name}', { params, body }));
    if (removesApp) {
      await answer(api.DELETE('/api/v1/users/{name}/totp', { params: { path } }));
    }
    if (isNewPassword) {
      const { password } = await answer(api.POST('/api/v1/users/{name}/password', { params: { path }, body: {} }));
      onPassword(password ?? '');
    }
  };
  const title = user ? text.common.change(user.name) : t.create;
  return (
    <FormDialog title={title} submit={text.common.save} canSubmit={name !== ''} onSubmit={save} onClose={onClose}>
      {(error) => (
        <>
          {!user && (
            <TextInput
              label={t.name}
              description={t.nameHow}
              value={name}
              onChange={({ currentTarget }) => setName(currentTarget.value)}
              error={refusalOf(error, 'name')}
              data-autofocus
            />
          )}
          <TextInput
            label={t.displayName}
            value={displayName}
            onChange={({ currentTarget }) => setDisplayName(currentTarget.value)}
            error={refusalOf(error, 'displayName')}
          />
          <TextInput
            label={t.grants}
            description={t.grantsHow}
            value={grants}
            disabled={user !== undefined && user.source !== 'local'}
            onChange={({ currentTarget }) => setGrants(currentTarget.value)}
            error={refusalOf(error, 'grants')}
          />
          {user && (
            <Checkbox
              label={t.disabled}
              checked={disabled}
              onChange={({ currentTarget }) => setDisabled(currentTarget.checked)}
            />
          )}
          {user?.source === 'local' && (
            <Checkbox
              label={t.newPassword}
              description={t.newPasswordHow}
              checked={isNewPassword}
              onChange={({ currentTarget }) => setNewPassword(currentTarget.checked)}
            />
          )}
          {user?.totp && (
            <Checkbox
              label={t.removeApp}
              description={t.removeAppHow}
              checked={removesApp}
              onChange={({ currentTarget }) => setRemovesApp(currentTarget.checked)}
            />
          )}
        </>
      )}
    </FormDialog>
  );
}
