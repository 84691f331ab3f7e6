/** Stands in for `node:timers/promises`: waits by virtual time. */
import * as real from 'node:timers/promises';
import { running } from '../core/simulation.ts';

/** Waits `ms` milliseconds. */
export function setTimeout<T>(ms: number, value?: T, options?: Parameters<typeof real.setTimeout>[2]): Promise<T> {
  return running()
    ? new Promise((done) => globalThis.setTimeout(() => done(value as T), ms))
    : real.setTimeout(ms, value as T, options);
}

/** Waits for the next turn of the event loop. */
export function setImmediate<T>(value?: T): Promise<T> {
  return running()
    ? new Promise((done) => globalThis.setImmediate(() => done(value as T)))
    : real.setImmediate(value as T);
}
