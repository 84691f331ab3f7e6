/** /api/v1/users/{name}/password */
import { PasswordChange, PasswordChanged } from '@mirrorplane/contract';
import { hashPassword } from '../people/argon2.ts';
import { newPassword } from '../people/generated.ts';
import { passwordProblem } from '../people/password-rules.ts';
import { userInfo, withNewStamp } from '../people/records.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { UserRecord } from '../store/records.ts';
import { MutationQuery, mutate } from './mutation.ts';
import { localUser, requirePassword, SECRET_BODY_LIMIT } from './own-password.ts';
import { type Call, type Route, route } from './route.ts';
import { isSelf, requireSelfOr } from './self.ts';
import { requireCover, UserParams } from './users.ts';

/** Puts a changed user in place of the one that was read. @throws ProblemError PRECONDITION_FAILED */
function requireSame({ view }: Services, before: UserRecord): void {
  if (view.get('users', before.name)?.value.stamp !== before.stamp) {
    throw new ProblemError('PRECONDITION_FAILED', 'the user has changed in the meantime: read it again, and repeat');
  }
}

/** The session of who changes the own password goes on: all others end. */
async function endOthers({ services, who }: Call<unknown, unknown, unknown>, user: UserRecord): Promise<void> {
  if (who.by !== 'token' && isSelf(who, user.name) && 'user' in who.by.session.owner) {
    services.sessions.goOn(who.by.session, { user: user.name, stamp: user.stamp });
  }
  await services.people.endInvalid();
}

/** The new password. @throws ProblemError FIELD_INVALID */
function newPasswordOf(body: PasswordChange, name: string, isOwn: boolean): string {
  if (isOwn && body.password === undefined) {
    refuseField('password', '"password" is missing: give the new one');
  }
  const password = body.password ?? newPassword();
  const problem = passwordProblem(password, name);
  if (problem !== undefined) {
    refuseField('password', `"password": ${problem}`);
  }
  if (isOwn && password === body.current) {
    refuseField('password', '"password": it is the one of today: take another one');
  }
  return password;
}

export const userPasswordRoutes: Route[] = [
  route({
    method: 'post',
    path: '/api/v1/users/{name}/password',
    tag: 'users',
    needs: 'signIn',
    bodyLimit: SECRET_BODY_LIMIT,
    summary:
      'Change a password: your own, or with the right "access" that of another user. It ends sessions and tokens',
    params: UserParams,
    query: MutationQuery,
    body: PasswordChange,
    refuses: ['NOT_FOUND', 'FORBIDDEN', 'USER_SOURCE', 'PRECONDITION_FAILED', 'TRIES_EXCEEDED'],
    responses: [
      { status: 200, description: 'Changed. Other sessions, and all tokens, have ended.', schema: PasswordChanged },
    ],
    handle: async (call) => {
      const { body, services, who, params } = call;
      const { name } = params;
      const { view, people } = services;
      requireSelfOr('access', who, name);
      const before = localUser(services, name);
      const isOwn = isSelf(who, name);
      const isDryRun = call.query.dryRun === 'true';
      if (isOwn) {
        await requirePassword(call, before, { field: 'current', password: body.current });
      } else {
        requireCover(who, before.grants, `the user "${name}" may do`);
      }
      const password = newPasswordOf(body, name, isOwn);
      const passwordHash = await people.lanes.run('known', name, () => hashPassword(password));
      // What somebody else has chosen is known to somebody else.
      const mustChangePassword = !isOwn;
      let after = before;
      const answer = await mutate(call, 'password', `users/${name}`, () => {
        requireSame(services, before);
        const { user, ops } = withNewStamp({ ...localUser(services, name), passwordHash, mustChangePassword }, view);
        after = user;
        const shown = body.password === undefined && !isDryRun ? { password } : {};
        return {
          ops,
          hasRevision: false,
          body: (revision) => ({ ...shown, user: userInfo({ value: user, revision }, view) }),
        };
      });
      if (!isDryRun) {
        await endOthers(call, after);
        await people.firstPassword.usedBy(name);
      }
      return answer;
    },
  }),
];
