/** /healthz, /readyz, /metrics: for whatever supervises the controller. */
import * as z from 'zod';
import { renderMetrics } from '../metrics/render.ts';
import { ProblemError } from '../problems/problems.ts';
import { type Route, route } from './route.ts';

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
    responses: [{ status: 200, description: 'OpenMetrics, or the older text format.', mediaType: 'text/plain' }],
    handle: async ({ request, services }) => {
      const { contentType, text } = await renderMetrics(services, request.headers.accept ?? '');
      return { headers: { 'content-type': contentType }, body: text };
    },
  }),
];
