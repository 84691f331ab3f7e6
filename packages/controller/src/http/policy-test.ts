/** /api/v1/policies/{name}/test: probes of a policy, and what became of them. */
import { PolicyTest } from '@mirrorplane/contract';
import { markAudited } from '../audit/audited.ts';
import { ProblemError } from '../problems/problems.ts';
import { askedBy, failureOf, found } from './mutation.ts';
import { PolicyParams } from './policies.ts';
import { type Route, route } from './route.ts';

const path = '/api/v1/policies/{name}/test';
const tag = 'policies';

export const policyTestRoutes: Route[] = [
  route({
    method: 'post',
    path,
    tag,
    needs: 'policy',
    about: 'policy',
    summary: 'Test a mirror policy with copies that are made for it, and wait for the result, at most ten seconds',
    params: PolicyParams,
    refuses: ['NOT_FOUND', 'POLICY_NOT_TESTABLE', 'TESTS_EXCEEDED'],
    responses: [{ status: 200, description: 'The result.', schema: PolicyTest }],
    handle: async ({ services, params: { name }, request, who }) => {
      const { credentials } = services.people;
      const { audit, refused, tests, view } = services;
      const record = found(view.get('policies', name), 'policy', name);
      const entry = { ...askedBy(who, request), action: 'test', resource: `policies/${name}` } as const;
      try {
        const body = await tests.run(
          services.statuses.one(record),
          who.name,
          () => credentials.byOwner(who.owner) !== undefined,
        );
        await audit.append({ ...entry, outcome: 'done' });
        return { body };
      } catch (error) {
        markAudited(error);
        await refused.add({ ...entry, ...failureOf(error) });
        throw error;
      }
    },
  }),
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'policy',
    summary: 'Read the result of the last test of a mirror policy, since the controller was started',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The result.', schema: PolicyTest }],
    handle: ({ services, params: { name } }) => {
      const record = found(services.view.get('policies', name), 'policy', name);
      const result = services.tests.resultOf(record.value.uid);
      if (result === undefined) {
        throw new ProblemError('NOT_FOUND', `the policy "${name}" was not tested since the controller was started`);
      }
      return { body: result };
    },
  }),
];
