/**
 * applier.ts BPFFS STATES [OBJECT]: opens the data path and applies the states of a JSON file one
 * after the other, from the first again, and says each, until it is killed. A state may name
 * devices that are gone.
 */

import { readFileSync, writeSync } from 'node:fs';
import type { DatapathState } from '../../../src/datapath/datapath.ts';
import { createKernelDatapath } from '../../../src/datapath/kernel/index.ts';
import { HOOK } from './hook.ts';

const [bpffs, file, object] = process.argv.slice(2) as [string, string, string?];
const states = JSON.parse(readFileSync(file, 'utf8')) as DatapathState[];
const datapath = createKernelDatapath({ hook: HOOK, bpffs, ...(object !== undefined && { object }) });
writeSync(1, 'starting\n');
await datapath.open();
// A bound, so that a process that is not killed does not run for ever.
for (let round = 0; round < 2000; round++) {
  await datapath.apply(states[round % states.length]!);
  writeSync(1, `applied ${round}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
