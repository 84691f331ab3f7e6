/** /api/v1/users/{name}/totp: codes of an authenticator app. */
import { RecoveryCodes, TotpBegin, TotpConfirm, TotpSecret } from '@mirrorplane/contract';
import { newRecoveryCode, recoveryDigest } from '../people/generated.ts';
import { withNewStamp } from '../people/records.ts';
import { stepOf, totpUri } from '../people/totp.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { UserRecord } from '../store/records.ts';
import { keyOf } from '../store/view.ts';
import { type Change, MutationQuery, mutate } from './mutation.ts';
import { attemptOfSelf, localUser, requirePassword, SECRET_BODY_LIMIT } from './own-password.ts';
import { type Call, type Route, route } from './route.ts';
import { isSelf } from './self.ts';
import { requireCover, UserParams } from './users.ts';

const path = '/api/v1/users';
const tag = 'users';
/** Recovery codes that are made at a time. */
const RECOVERY_CODES = 10;

const totpBegin = route({
  method: 'post',
  path: `${path}/{name}/totp`,
  tag,
  needs: 'signIn',
  bodyLimit: SECRET_BODY_LIMIT,
  summary: 'Begin with an authenticator app: get a secret, which a code confirms',
  params: UserParams,
  body: TotpBegin,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'USER_SOURCE', 'TRIES_EXCEEDED'],
  responses: [{ status: 200, description: 'A secret. Nothing changes before it is confirmed.', schema: TotpSecret }],
  handle: async (call) => {
    const { params, services, body, who } = call;
    requireOwn(call);
    const user = localUser(services, params.name);
    await requirePassword(call, user, { field: 'password', password: body.password });
    const { secret, expiresAt } = services.people.totpBegins.begin(user.name, user.stamp);
    const uri = totpUri(secret, who.name);
    return { body: { secret, uri, expiresAt: new Date(expiresAt).toISOString() } };
  },
});

/** @throws ProblemError FORBIDDEN for an app of somebody else */
function requireOwn({ who, params }: Call<{ name: string }, unknown, unknown>): void {
  if (!isSelf(who, params.name)) {
    throw new ProblemError('FORBIDDEN', 'only the user can do this, with the phone at hand', [], { right: 'access' });
  }
}

const totpConfirm = route({
  method: 'put',
  path: `${path}/{name}/totp`,
  tag,
  needs: 'signIn',
  bodyLimit: SECRET_BODY_LIMIT,
  summary: 'Confirm an authenticator app with a code: signing in needs one from now on',
  params: UserParams,
  query: MutationQuery,
  body: TotpConfirm,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'USER_SOURCE', 'TRIES_EXCEEDED'],
  responses: [{ status: 200, description: 'Recovery codes, for a lost phone.', schema: RecoveryCodes }],
  handle: async (call) => {
    const { params, services, body } = call;
    requireOwn(call);
    const { view, people, clock } = services;
    const { name } = params;
    const attempt = attemptOfSelf(call, name);
    const recoveryCodes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
    const answer = await mutate(call, 'totp', `users/${name}`, () => {
      const user = localUser(services, name);
      const secret = people.totpBegins.waiting(name, user.stamp);
      if (secret === undefined) {
        refuseField('code', '"code": there is no secret that waits for it, or not any more: begin again');
      }
      if (!people.attempts.takeCode(attempt)) {
        throw new ProblemError('TRIES_EXCEEDED', 'too many tries with a code: wait a minute, and try again');
      }
      const last = view.get('signIns', name)?.value;
      const step = stepOf(body.code, secret, { lastStep: 0, now: clock() });
      if (step === undefined) {
        refuseField('code', '"code": it is wrong: check that the clock of the phone is right, and give the next code');
      }
      const value: UserRecord = { ...user, totp: { secret }, recoveryCodes: recoveryCodes.map(recoveryDigest) };
      const at = last ?? { at: new Date(clock()).toISOString(), origins: [] };
      return {
        ops: [
          { type: 'put', key: keyOf('users', name), value },
          { type: 'put', key: keyOf('signIns', name), value: { ...at, totpStep: step } },
        ],
        hasRevision: false,
        body: () => ({ recoveryCodes }),
      };
    });
    if (call.query.dryRun !== 'true') {
      people.totpBegins.confirmed(name);
    }
    return answer;
  },
});

const totpEnd = route({
  method: 'delete',
  path: `${path}/{name}/totp`,
  tag,
  needs: 'access',
  about: 'cluster',
  summary: 'Remove an authenticator app that was lost. It ends sessions and tokens of the user',
  params: UserParams,
  query: MutationQuery,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'USER_SOURCE'],
  responses: [{ status: 204, description: 'Removed. A password is enough to sign in.' }],
  handle: (call) => {
    const { params, services, who } = call;
    const { name } = params;
    const change = (): Change => {
      const user = localUser(services, name);
      requireCover(who, user.grants, `the user "${name}" may do`);
      if (user.totp === undefined) {
        return { ops: [] };
      }
      const { totp: _, recoveryCodes: __, ...rest } = user;
      return { ops: withNewStamp(rest, services.view).ops };
    };
    return services.people.changing(name, () => mutate(call, 'totp', `users/${name}`, change));
  },
});

const totpEndOwn = route({
  method: 'post',
  path: `${path}/{name}/totp/remove`,
  tag,
  needs: 'signIn',
  bodyLimit: SECRET_BODY_LIMIT,
  summary: 'Do without your authenticator app',
  params: UserParams,
  query: MutationQuery,
  body: TotpBegin,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'USER_SOURCE', 'TRIES_EXCEEDED'],
  responses: [{ status: 204, description: 'Removed. A password is enough to sign in.' }],
  handle: async (call) => {
    const { params, services, body } = call;
    const { name } = params;
    requireOwn(call);
    await requirePassword(call, localUser(services, name), { field: 'password', password: body.password });
    return mutate(call, 'totp', `users/${name}`, () => {
      const { totp, recoveryCodes: _, ...rest } = localUser(services, name);
      return { ops: totp === undefined ? [] : [{ type: 'put', key: keyOf('users', name), value: rest }] };
    });
  },
});

export const userTotpRoutes: Route[] = [totpBegin, totpConfirm, totpEnd, totpEndOwn];
