/** Stands in for `node:os`: the name of the simulated host. */
import * as real from 'node:os';
import { running } from '../core/simulation.ts';

export * from 'node:os';

export function hostname(): string {
  return running()?.scheduler.current?.name ?? real.hostname();
}
