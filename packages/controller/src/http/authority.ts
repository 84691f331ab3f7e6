/** /api/v1/authority: the authority that signs the certificates of the cluster, and its rotation. */
import { AuthorityStatus } from '@mirrorplane/contract';
import * as z from 'zod';
import { deleteTokens } from '../auth/join-tokens.ts';
import { authorityStatus } from '../auth/rotation.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { askedBy, failureOf } from './mutation.ts';
import { type Call, NOTHING, type Route, route } from './route.ts';

const path = '/api/v1/authority';
const tag = 'nodes';
const needs = 'nodes';

const DropQuery = z.strictObject({
  force: z.enum(['true', 'false']).default('false').meta({
    description: 'true: also if nodes or join tokens are left. These nodes need a new join token then.',
  }),
});

function statusOf(services: Services): AuthorityStatus {
  return authorityStatus(services, services.clock());
}

/** Refuses to drop the old authority while it is needed. */
function refuseLeft({ rotation }: AuthorityStatus, force: boolean): void {
  if (!rotation) {
    throw new ProblemError('NOT_FOUND', 'the authority is not being rotated');
  }
  const { nodesLeft, nodesLeftCount, tokensLeft } = rotation;
  if (force || (nodesLeftCount === 0 && tokensLeft === 0)) {
    return;
  }
  const more = nodesLeftCount > 3 ? ` and ${nodesLeftCount - 3} more` : '';
  const parts = [
    ...(nodesLeftCount > 0 ? [`the certificates of ${nodesLeft.slice(0, 3).join(', ')}${more} are`] : []),
    ...(tokensLeft > 0 ? [`${tokensLeft} join tokens are`] : []),
  ];
  const remedy = 'wait until their agents have connected, revoke the tokens, or drop it with --force';
  throw new ProblemError('IN_USE', `${parts.join(', and ')} of the old authority: ${remedy}`);
}

/** Does a step of a rotation, and tells of it. @param run does it, and says what was done */
async function step(
  { services, request, who }: Call<unknown, unknown, unknown>,
  run: () => Promise<string>,
): Promise<AuthorityStatus> {
  const { audit, events } = services;
  const line = { ...askedBy(who, request), action: 'rotate', resource: 'authority' } as const;
  audit.requireWritable();
  try {
    const message = await run();
    await audit.append({ ...line, outcome: 'done', detail: message });
    const cause = { kind: 'operator', name: who.name } as const;
    await events.note({ kind: 'authorityRotated', object: { kind: 'controller', name: 'controller' }, message, cause });
  } catch (error) {
    await audit.append({ ...line, ...failureOf(error) });
    throw error;
  }
  return statusOf(services);
}

export const authorityRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'cluster',
    summary: 'Read which authority signs certificates, and how far its rotation is',
    responses: [{ status: 200, description: 'The authority.', schema: AuthorityStatus }],
    handle: ({ services }) => ({ body: statusOf(services) }),
  }),
  route({
    method: 'post',
    path: `${path}/rotate`,
    tag,
    needs,
    about: 'cluster',
    summary: 'Begin to rotate the authority: make a new one, trust both, and renew the certificates of agents',
    query: NOTHING,
    refuses: ['IN_USE'],
    responses: [{ status: 200, description: 'The rotation is under way.', schema: AuthorityStatus }],
    handle: async (call) => {
      const { authority } = call.services;
      const body = await step(call, async () => {
        if (authority.isRotating) {
          throw new ProblemError('IN_USE', 'the authority is being rotated already: drop the old one first');
        }
        const old = authority.fingerprint;
        await authority.rotate();
        return `the authority ${authority.fingerprint} takes the place of ${old}: both are trusted`;
      });
      return { body };
    },
  }),
  route({
    method: 'post',
    path: `${path}/drop`,
    tag,
    needs,
    about: 'cluster',
    summary: 'End the rotation of the authority: drop the old one',
    query: DropQuery,
    refuses: ['NOT_FOUND', 'IN_USE'],
    responses: [{ status: 200, description: 'Only the new authority is trusted.', schema: AuthorityStatus }],
    handle: async (call) => {
      const { authority, decisions, view } = call.services;
      const body = await step(call, async () => {
        const before = statusOf(call.services);
        refuseLeft(before, call.query.force === 'true');
        await authority.drop();
        const dropped = before.rotation!.fingerprint;
        const ops = () => deleteTokens(view, ({ record }) => (record.fingerprint ?? dropped) === dropped);
        await decisions.decide(() => ({ ops: ops(), result: () => undefined }));
        return `the authority ${dropped} is dropped: ${before.rotation!.nodesLeftCount} nodes must enrol again`;
      });
      return { body };
    },
  }),
];
