/** /api/v1/…/history: rates over time. */
import { History, InterfaceId } from '@mirrorplane/contract';
import * as z from 'zod';
import { destinationHistory, nodeHistory, policyHistory, type Window } from '../history/read.ts';
import type { Services } from '../services.ts';
import { found } from './mutation.ts';
import { type Route, route } from './route.ts';

const moment = z.iso
  .datetime({ offset: true, error: 'write a time of ISO 8601, as in 2026-01-31T12:00:00Z' })
  .transform((text) => Math.floor(Date.parse(text) / 1000))
  .optional();

const Query = z.strictObject({
  resolution: z
    .enum(['1s', '10s'])
    .default('1s')
    .meta({ description: '1s: each second of the last five minutes. 10s: steps of ten seconds of the last hour.' }),
  from: moment.meta({ description: 'Only points that begin at this time or later, ISO 8601.' }),
  to: moment.meta({ description: 'Only points that begin at this time or earlier, ISO 8601.' }),
});

const responses = [{ status: 200, description: 'Rates, oldest first. A gap is null.', schema: History }];
const refuses = ['NOT_FOUND'] as const;

/** Tracks of the policies that have an interface as their destination. */
function destinationTracks(id: string, { view, history }: Services) {
  const policies = [...view.all('policies').values()].filter(({ value }) => value.destination === id);
  return policies.map(({ value }) => history.policy(value.uid));
}

export const historyRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/policies/{name}/history',
    tag: 'policies',
    needs: 'read',
    about: 'policy',
    summary: 'Read the rates of a mirror policy over time',
    params: z.object({ name: z.string().meta({ description: 'Name of the policy.' }) }),
    query: Query,
    refuses,
    responses,
    handle: ({ params: { name }, query, services: { view, history } }) => {
      const { value } = found(view.get('policies', name), 'policy', name);
      return { body: policyHistory(history.policy(value.uid), query satisfies Window, history.last) };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/nodes/{name}/history',
    tag: 'nodes',
    needs: 'read',
    about: 'node',
    summary: 'Read the rates of a node over time',
    params: z.object({ name: z.string().meta({ description: 'Name of the node.' }) }),
    query: Query,
    refuses,
    responses,
    handle: ({ params: { name }, query, services: { view, history } }) => {
      found(view.get('nodes', name), 'node', name);
      return { body: nodeHistory(history.node(name), query, history.last) };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/interfaces/{id}/history',
    tag: 'interfaces',
    needs: 'read',
    about: 'interface',
    summary: 'Read over time what an interface gets as a destination',
    params: z.object({ id: InterfaceId.meta({ description: 'Id of the interface, percent-encoded.' }) }),
    query: Query,
    refuses,
    responses,
    handle: ({ params: { id }, query, services }) => {
      found(services.view.get('interfaces', id), 'interface', id);
      return { body: destinationHistory(destinationTracks(id, services), query, services.history.last) };
    },
  }),
];
