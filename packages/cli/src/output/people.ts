/** Users and API tokens as text. */
import type { ApiTokenInfo, User } from '@mirrorplane/contract';
import { formatGrants } from '@mirrorplane/contract/grant-text';
import { type Cell, renderFields, renderTable } from './table.ts';

function grantsText(grants: User['grants']): string {
  return formatGrants(grants) || '-';
}

function stateOf({ disabled, hasPassword, source, mustChangePassword }: User): Cell {
  if (disabled) {
    return { text: 'disabled', style: 'yellow' };
  }
  if (source === 'local' && !hasPassword) {
    return { text: 'no password', style: 'yellow' };
  }
  return mustChangePassword ? 'new password' : 'enabled';
}

/** A table with one row for each user. */
export function userTable(users: readonly User[], color: boolean): string {
  const columns = ['NAME', 'STATE', 'SOURCE', 'GRANTS', 'APP', 'LAST SIGN-IN'];
  const rows = users.map((user): Cell[] => [
    user.name,
    stateOf(user),
    user.source,
    grantsText(user.grants),
    user.totp ? 'yes' : '-',
    user.lastSignInAt ?? '-',
  ]);
  return renderTable(
    columns.map((title) => ({ title })),
    rows,
    { color },
  );
}

/** A user, a field a line. */
export function userFields(user: User, color: boolean): string {
  return renderFields(
    [
      ['name', user.name],
      ...(user.displayName === undefined ? [] : ([['display name', user.displayName]] as const)),
      ['state', stateOf(user)],
      ['source', user.source],
      ['grants', grantsText(user.grants)],
      ['authenticator app', user.totp ? `yes, ${user.recoveryCodes} recovery codes left` : 'no'],
      ['created', `${user.createdAt} by ${user.createdBy}`],
      ['last sign-in', user.lastSignInAt ?? 'never'],
    ],
    color,
  );
}

/** A table with one row for each token. */
export function tokenTable(tokens: readonly ApiTokenInfo[], color: boolean): string {
  const columns = ['NAME', 'USER', 'SOURCE', 'GRANTS', 'ENDS', 'LAST USED', 'MADE FROM'];
  const rows = tokens.map((token): Cell[] => [
    token.name,
    token.user,
    token.source,
    grantsText(token.grants),
    endCell(token),
    token.lastUsedAt ?? '-',
    token.from ?? '-',
  ]);
  return renderTable(
    columns.map((title) => ({ title })),
    rows,
    { color },
  );
}

function endCell({ expiresAt }: ApiTokenInfo): Cell {
  if (expiresAt === undefined) {
    return 'never';
  }
  return Date.parse(expiresAt) > Date.now() ? expiresAt : { text: `${expiresAt} (over)`, style: 'yellow' };
}
