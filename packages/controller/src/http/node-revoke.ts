/** POST /api/v1/nodes/{name}/revoke: cuts a node off. */
import { Name, Node } from '@mirrorplane/contract';
import * as z from 'zod';
import { revokeTokens } from '../auth/join-tokens.ts';
import { cutOff, revoked } from '../auth/node-certificates.ts';
import { keyOf } from '../store/view.ts';
import { checkPreconditions, found, MutationQuery, mutate } from './mutation.ts';
import { toNode } from './nodes.ts';
import { type Route, route } from './route.ts';

export const nodeRevokeRoutes: Route[] = [
  route({
    method: 'post',
    path: '/api/v1/nodes/{name}/revoke',
    tag: 'nodes',
    needs: 'nodes',
    about: 'node',
    summary:
      'Cut a node off at once: no certificate and no join token of it is accepted any more, nor the one that let it in',
    params: z.object({ name: Name.meta({ description: 'Name of the node.' }) }),
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'Revoked, or it was already. A new join token lets it in.', schema: Node }],
    handle: async (call) => {
      const { services, request, who } = call;
      const { name } = call.params;
      let isNews = false;
      const answer = await mutate(call, 'revoke', `nodes/${name}`, () => {
        const { view } = services;
        const stored = found(view.get('nodes', name), 'node', name);
        checkPreconditions(request, stored.revision);
        const value = { ...stored.value, revoked: true as const };
        const certificate = revoked(view.get('certificates', name)?.value);
        isNews = !stored.value.revoked;
        return {
          ops: isNews
            ? [
                { type: 'put', key: keyOf('nodes', name), value },
                { type: 'put', key: keyOf('certificates', name), value: certificate },
                cutOff(view),
                ...revokeTokens(view, name),
              ]
            : revokeTokens(view, name),
          revision: stored.revision,
          body: (revision) => toNode({ value, revision }, services),
        };
      });
      if (call.query.dryRun === 'false' && isNews) {
        services.revoked(name);
        const message = 'revoked: its agent is cut off, and its interfaces count as absent';
        const cause = { kind: 'operator', name: who.name } as const;
        await services.events.note({ kind: 'nodeRevoked', object: { kind: 'node', name }, message, cause });
      }
      return answer;
    },
  }),
];
