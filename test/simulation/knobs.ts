/**
 * Numbers of the product that differ in the simulation: smaller ones get a short schedule to what
 * takes years elsewhere, larger ones spare it work that changes nothing.
 */
import type { Patch } from './patch.ts';

export const KNOBS: readonly Patch[] = [
  { file: 'contract/src/names.ts', find: 'export const MAX_SESSION = 1023;', put: 'export const MAX_SESSION = 5;' },
  {
    file: 'agent/src/pass-schedule.ts',
    find: 'const CHECK_INTERVAL_MS = 400;',
    put: 'const CHECK_INTERVAL_MS = 3000;',
  },
  {
    file: 'agent/src/migration/guest-watch.ts',
    find: 'const LOOK_INTERVAL_MS = { target: 5, origin: 100 } as const;',
    put: 'const LOOK_INTERVAL_MS = { target: 100, origin: 300 } as const;',
  },
  { file: 'controller/src/store/etcd.ts', find: 'const PAGE = 1000;', put: 'const PAGE = 8;' },
];
