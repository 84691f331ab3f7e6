/** /api/v1/access: roles, and who may do what. */
import { AccessSettings, Right, ROLE_NAMES, ROLES, Role, rightsOf } from '@mirrorplane/contract';
import * as z from 'zod';
import { type Judge, THINGS, type Thing } from '../access/judge.ts';
import { ACCESS, accessSettings } from '../access/settings.ts';
import { keyOf } from '../store/view.ts';
import { MutationQuery, mutate } from './mutation.ts';
import { type Route, route } from './route.ts';
import { WhoCan, whoCan } from './who-can.ts';

const path = '/api/v1/access';
const tag = 'access';

const RoleInfo = z.object({ name: Role, rights: z.array(Right) }).meta({ id: 'RoleInfo' });

/** A thing as `KIND/NAME`. An interface has slashes in its id. */
const ThingText = z
  .string()
  .max(256)
  .transform((text, context) => {
    const at = text.indexOf('/');
    const kind = text.slice(0, at) as Thing;
    if (at < 0 || at === text.length - 1 || !THINGS.includes(kind)) {
      context.addIssue(`write it as KIND/NAME, with a KIND of ${THINGS.join(', ')}`);
      return z.NEVER;
    }
    return { kind, name: text.slice(at + 1) };
  })
  .meta({ description: 'What the right is needed for: KIND/NAME, as in interface/web-1/0. Default: anything.' });

const Question = z.strictObject({
  right: Right.describe('What one wants to do.'),
  object: ThingText.optional(),
});

const Answer = z
  .object({
    allowed: z.boolean(),
    reason: z.string().meta({ description: 'Why, or what is missing.' }),
  })
  .meta({ id: 'AccessAnswer' });

/** Whether somebody may do something, in words. */
function answerOf(judge: Judge, { right, object }: z.output<typeof Question>, rights: readonly Right[]) {
  if (!rights.includes(right)) {
    return { allowed: false, reason: `no role that you have has the right "${right}"` };
  }
  if (judge.everywhere(right)) {
    return { allowed: true, reason: 'you have the right everywhere' };
  }
  if (object === undefined) {
    return { allowed: true, reason: 'you have the right within a scope: ask with an object' };
  }
  const allowed = judge.may(right, object.kind, object.name);
  const named = `${object.kind}/${object.name}`;
  return {
    allowed,
    reason: allowed ? `${named} is in your scope` : `${named} is not in your scope, or does not exist`,
  };
}

const SETTINGS = `${path}/settings`;

export const accessRoutes: Route[] = [
  route({
    method: 'get',
    path: `${path}/roles`,
    tag,
    needs: 'signIn',
    summary: 'List the roles with their rights',
    responses: [
      {
        status: 200,
        description: 'All roles, from the least to the most.',
        schema: z.object({ items: z.array(RoleInfo) }),
      },
    ],
    handle: () => ({ body: { items: ROLE_NAMES.map((name) => ({ name, rights: [...ROLES[name]] })) } }),
  }),
  route({
    method: 'get',
    path: `${path}/can-i`,
    tag,
    needs: 'signIn',
    summary: 'Ask whether one may do something',
    query: Question,
    responses: [{ status: 200, description: 'Whether, and why.', schema: Answer }],
    handle: ({ query, judge, who }) => ({ body: answerOf(judge, query, rightsOf(who.grants)) }),
  }),
  route({
    method: 'get',
    path: `${path}/who-can`,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'Ask who may do something with a thing, or consent to a policy that waits',
    query: Question.extend({ object: ThingText }),
    responses: [{ status: 200, description: 'Users and API tokens by name.', schema: WhoCan }],
    handle: ({ query: { right, object }, judge, services }) => ({ body: whoCan(right, object, { judge, services }) }),
  }),
  route({
    method: 'get',
    path: SETTINGS,
    tag,
    needs: 'signIn',
    summary: 'Read the settings of access',
    responses: [{ status: 200, description: 'The settings.', schema: AccessSettings }],
    handle: ({ services: { view } }) => ({ body: accessSettings(view) }),
  }),
  route({
    method: 'put',
    path: SETTINGS,
    tag,
    needs: 'access',
    about: 'cluster',
    summary: 'Change the settings of access',
    query: MutationQuery,
    body: AccessSettings,
    responses: [{ status: 200, description: 'Changed, or already so.', schema: AccessSettings }],
    handle: (call) =>
      mutate(call, 'settings', `settings/${ACCESS}`, () => {
        const { body, services } = call;
        const was = accessSettings(services.view);
        const ops =
          was.fourEyes === body.fourEyes ? [] : [{ type: 'put' as const, key: keyOf('settings', ACCESS), value: body }];
        return { ops, without: was, body: () => body, hasRevision: false };
      }),
  }),
];
