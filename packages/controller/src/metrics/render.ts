/** Metrics as text. Made again for each scrape, because the values come from the agents. */
import { Readable } from 'node:stream';
import { inTurns, piecesInTurns } from '@mirrorplane/base';
import type { Services } from '../services.ts';
import { type Add, collect, collectStore, type Wanted } from './collect.ts';
import { formatOf, Series } from './exposition.ts';

/** Metrics as text. */
export interface Rendered {
  contentType: string;
  /** Made as it is read. */
  text: Readable;
}

/**
 * Makes all metrics, in turns with everything else. The text is sent as it is read.
 * @param accept Accept header
 */
export async function renderMetrics(services: Services, wanted: Wanted, accept: string): Promise<Rendered> {
  const series = new Series();
  const add: Add = (metric, value, labels) => series.add(metric, value, labels);
  collectStore(await services.storeState(), add);
  await inTurns(collect(services, wanted, add));
  const format = formatOf(accept);
  return {
    contentType: format.contentType,
    text: Readable.from(piecesInTurns(series.text(format)), { objectMode: false }),
  };
}
