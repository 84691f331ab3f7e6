/** The forecast that a dry run prints beside its result. */
import type { Forecast } from '@mirrorplane/contract';
import { ProblemError } from './client.ts';
import type { Context } from './context.ts';
import { forecastText } from './output/forecast.ts';

/** Prints on stderr what a policy would make of the traffic of the last minute. */
export async function noteForecast(context: Context, spec: object): Promise<void> {
  try {
    const { body } = await context.client.request<Forecast>('POST', '/api/v1/forecasts', { body: spec });
    context.note(forecastText(body));
  } catch (error) {
    // A controller of an earlier version has no forecasts: what was asked for is done all the same.
    if (!(error instanceof ProblemError)) {
      throw error;
    }
  }
}
