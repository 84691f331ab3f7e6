/** /healthz, /readyz, /metrics: for whatever supervises the controller. */
import { Name } from '@mirrorplane/contract';
import * as z from 'zod';
import { renderMetrics } from '../metrics/render.ts';
import { ProblemError } from '../problems/problems.ts';
import { type Route, route } from './route.ts';

/** Sources with series of their own: without a word about it, and at most. */
const SOURCES = { usual: 1000, most: 10_000 };

const MetricsQuery = z.strictObject({
  sources: z.coerce
    .number()
    .int()
    .min(0)
    .max(SOURCES.most)
    .default(SOURCES.usual)
    .meta({
      description:
        'Series for each source, as long as the policies have no more sources than this together, 0 to 10000. ' +
        'With more of them, each policy is one series, whose labels `source` and `direction` are empty.',
    }),
  policy: z
    .union([z.string(), z.array(z.string())])
    .transform((given) => new Set([given].flat().flatMap((text) => text.split(','))))
    .optional()
    .meta({
      description: 'Names of policies, separated by commas; or repeat the parameter. Default: all.',
      list: Name,
    }),
});

const Health = z.object({ status: z.literal('ok') });

export const healthRoutes: Route[] = [
  route({
    method: 'get',
    path: '/healthz',
    tag: 'health',
    needs: 'nothing',
    summary: 'Check that the process is alive',
    responses: [{ status: 200, description: 'The process is alive.', schema: Health }],
    handle: () => ({ body: { status: 'ok' } }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    tag: 'health',
    needs: 'nothing',
    summary: 'Check that the store is open and the first plan is made',
    responses: [{ status: 200, description: 'The controller is ready. 503: not ready yet.', schema: Health }],
    handle: ({ services }) => {
      if (!services.ready()) {
        throw new ProblemError('UNAVAILABLE', 'the controller is starting or closing: try again in a moment');
      }
      return { body: { status: 'ok' } };
    },
  }),
  route({
    method: 'get',
    path: '/metrics',
    tag: 'health',
    needs: 'metrics',
    about: 'cluster',
    summary: 'Read counters of policies and nodes, for Prometheus',
    query: MetricsQuery,
    responses: [{ status: 200, description: 'OpenMetrics, or the older text format.', mediaType: 'text/plain' }],
    handle: async ({ query: { sources, policy }, request, services, who }) => {
      const wanted = { sources, policies: policy };
      const accept = request.headers.accept ?? '';
      const scrape = () => renderMetrics(services, wanted, accept);
      const { contentType, text } = await services.scrapes.run(who.name, scrape);
      return { headers: { 'content-type': contentType }, body: text };
    },
  }),
];
