/** /api/v1/forecasts */
import { Forecast, PolicySpec } from '@mirrorplane/contract';
import { forecastOf } from '../summaries/forecasts.ts';
import { require } from './judges.ts';
import { type Route, route } from './route.ts';

export const forecastRoutes: Route[] = [
  route({
    method: 'post',
    path: '/api/v1/forecasts',
    tag: 'policies',
    summary: 'Ask what a mirror policy would make of the traffic of the last minute',
    // Nothing is changed, and nothing is kept.
    needs: 'read',
    about: 'handler',
    body: PolicySpec,
    responses: [
      {
        status: 200,
        description:
          'The forecast. The policy need not exist, and need not be valid. One of the same name is replaced.',
        schema: Forecast,
      },
    ],
    handle: ({ body, services, judge }) => {
      for (const id of [...body.sources, body.destination]) {
        require(judge, 'read', 'interface', id);
      }
      return { body: forecastOf(body, services) };
    },
  }),
];
