/** /api/v1/users: people with an account. */
import { User, UserName, UserSpec } from '@mirrorplane/contract';
import * as z from 'zod';
import { covers } from '../people/covers.ts';
import { newStamp, removeTokens, tokensOf, userInfo, withNewStamp } from '../people/records.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { UserRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type Stored, type View } from '../store/view.ts';
import { grantWarnings } from './judges.ts';
import type { ListSpec } from './list-spec.ts';
import { type Change, checkPreconditions, etag, found, MutationQuery, mutate } from './mutation.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { type Route, route } from './route.ts';
import { requireSelfOr } from './self.ts';
import type { Who } from './who.ts';

export const UserParams = z.object({ name: UserName.meta({ description: 'Name of the user.' }) });
const path = '/api/v1/users';
const tag = 'users';

/** Names of others who act. `admin` is the file token, and the first user. */
const RESERVED = new Set(['read', 'controller', 'unknown']);

const USERS: ListSpec<User> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: { source: ({ source }) => source, lastSignInAt: ({ lastSignInAt }) => lastSignInAt },
  texts: ({ displayName, source, grants }) => [displayName, source, ...grants.map(({ role }) => role)],
  filter: {
    source: ({ source }, value) => source === value,
    role: ({ grants }, value) => grants.some(({ role }) => role === value),
    disabled: ({ disabled }, value) => String(disabled) === value,
  },
};

/**
 * Who manages a user can become that user. So they need all that the user may do.
 * @throws ProblemError FORBIDDEN
 */
export function requireCover(who: Who, grants: UserRecord['grants'], what: string): void {
  if (!covers(who.grants, grants)) {
    throw new ProblemError('FORBIDDEN', `${what} more than you may do yourself: ask somebody who may`, [], {
      right: 'access',
    });
  }
}

/** @throws ProblemError LAST_ADMINISTRATOR if nobody could manage users any more */
function refuseLast(view: View, name: string, after: UserRecord | undefined): void {
  const manages = (user: UserRecord | undefined) =>
    user !== undefined &&
    !user.disabled &&
    user.grants.some(({ role, scope }) => role === 'admin' && scope === undefined);
  const others = [...view.all('users').values()].some(({ value }) => value.name !== name && manages(value));
  if (manages(view.get('users', name)?.value) && !manages(after) && !others) {
    throw new ProblemError('LAST_ADMINISTRATOR', `"${name}" is the last administrator: make another one first`);
  }
}

/** A user after a PUT, and the operations that make it so. */
function replaced(
  stored: Stored<UserRecord> | undefined,
  { name, body, who, now, view }: { name: string; body: UserSpec; who: Who; now: string; view: View },
): { user: UserRecord; ops: Operation[] } {
  const { displayName, grants, disabled } = body;
  requireCover(who, grants, `the grants of "${name}" would allow`);
  if (!stored) {
    if (RESERVED.has(name)) {
      refuseField('name', `"name": "${name}" has another meaning in the audit log: choose another name`);
    }
    if (name.includes(':')) {
      refuseField('name', `"name": "${name}" would be a user of single sign-on, who is made by signing in`);
    }
    const user: UserRecord = {
      name,
      displayName,
      source: 'local',
      grants,
      disabled,
      stamp: newStamp(),
      createdAt: now,
      createdBy: who.name,
    };
    return { user, ops: [{ type: 'put', key: keyOf('users', name), value: user }] };
  }
  const before = stored.value;
  requireCover(who, before.grants, `the user "${name}" may do`);
  const isOther = JSON.stringify(before.grants) !== JSON.stringify(grants);
  if (isOther && before.source !== 'local') {
    refuseField('grants', `"grants": those of "${name}" come from groups of ${before.source}: change them there`);
  }
  const user: UserRecord = { ...before, displayName, grants, disabled };
  refuseLast(view, name, user);
  if (isOther || disabled !== before.disabled) {
    return withNewStamp(user, view);
  }
  const isSame = before.displayName === displayName;
  return { user, ops: isSame ? [] : [{ type: 'put', key: keyOf('users', name), value: user }] };
}

export const userRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'access',
    about: 'cluster',
    summary: 'List users',
    query: pageQuery(USERS),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Users by name.', schema: listOf(User) }],
    handle: ({ query, services, who }) => {
      const users = services.view.all('users').values();
      const items = users.map((stored) => userInfo(stored, services.view));
      return { body: pageOf(items, USERS, query, listOptions(services, who)) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    needs: 'signIn',
    summary: 'Read a user: yourself, or another one with the right "access"',
    params: UserParams,
    refuses: ['NOT_FOUND', 'FORBIDDEN'],
    responses: [{ status: 200, description: 'The user.', schema: User }],
    handle: ({ params: { name }, services: { view }, who }) => {
      requireSelfOr('access', who, name);
      const stored = found(view.get('users', name), 'user', name);
      return { headers: { etag: etag(stored.revision) }, body: userInfo(stored, view) };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    needs: 'access',
    about: 'cluster',
    summary: 'Create or change a user. Other grants, or disabled, end all sessions and tokens of the user',
    params: UserParams,
    query: MutationQuery,
    body: UserSpec,
    conditional: true,
    refuses: ['FORBIDDEN', 'LAST_ADMINISTRATOR'],
    responses: [
      { status: 200, description: 'Changed, or already up to date.', schema: User },
      { status: 201, description: 'Created. It needs a password to sign in.', schema: User },
    ],
    handle: (call) => {
      const { body, services, who, request } = call;
      const { name } = call.params;
      const { view, clock, people } = services;
      const change = (): Change => {
        const stored = view.get('users', name);
        checkPreconditions(request, stored?.revision);
        const now = new Date(clock()).toISOString();
        const { user, ops } = replaced(stored, { name, body, who, now, view });
        return {
          ops,
          revision: stored?.revision ?? 0,
          status: stored ? 200 : 201,
          ...(!stored && { location: `${path}/${encodeURIComponent(name)}` }),
          body: (revision) => ({ ...userInfo({ value: user, revision }, view), ...grantWarnings(user.grants, call) }),
        };
      };
      return people.changing(name, () => mutate(call, 'replace', `users/${name}`, change));
    },
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'access',
    about: 'cluster',
    summary: 'Delete a user, and end all sessions and tokens',
    params: UserParams,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'FORBIDDEN', 'LAST_ADMINISTRATOR'],
    responses: [{ status: 204, description: 'Deleted.' }],
    handle: (call) => {
      const { services, who, request } = call;
      const { name } = call.params;
      const { view, people } = services;
      const change = (): Change => {
        const stored = found(view.get('users', name), 'user', name);
        checkPreconditions(request, stored.revision);
        requireCover(who, stored.value.grants, `the user "${name}" may do`);
        refuseLast(view, name, undefined);
        const tokens = tokensOf(view, (maker) => 'user' in maker && maker.user === name);
        return {
          ops: [
            { type: 'delete', key: keyOf('users', name) },
            { type: 'delete', key: keyOf('signIns', name) },
            ...removeTokens(tokens),
          ],
        };
      };
      return people.changing(name, () => mutate(call, 'delete', `users/${name}`, change));
    },
  }),
];
