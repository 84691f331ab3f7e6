/**
 * Loads the product with the edges of the simulation, and with other sources where a fault is to be
 * planted. Load it before everything else: `node --import ./test/simulation/hooks.ts`.
 */
import { registerHooks } from 'node:module';
import { KNOBS } from './knobs.ts';
import { MUTATIONS } from './mutations.ts';
import { patched } from './patch.ts';

/** What the product imports, and what it gets. */
const EDGES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'node:crypto': 'crypto',
    'node:fs': 'fs',
    'node:fs/promises': 'fs-promises',
    'node:timers/promises': 'timers-promises',
    ws: 'ws',
  }).map(([specifier, file]) => [specifier, new URL(`./edges/${file}.ts`, import.meta.url).href]),
);

/** Files of the product that run in the simulation. */
const PRODUCT = new RegExp(
  `^${new URL('../../packages/', import.meta.url).href}(agent|base|contract|controller|planner)/src/`,
);

const mutation = process.env.SIMULATION_MUTATION;
const planted = mutation === undefined ? [] : MUTATIONS.find(({ name }) => name === mutation)?.patches;
if (planted === undefined) {
  throw new Error(`SIMULATION_MUTATION: there is no mutation "${mutation}"`);
}
const patches = [...KNOBS, ...planted];

registerHooks({
  resolve(specifier, context, next) {
    const edge = context.parentURL !== undefined && PRODUCT.test(context.parentURL) ? EDGES.get(specifier) : undefined;
    return edge === undefined
      ? next(specifier, context)
      : { url: edge, format: 'module-typescript', shortCircuit: true };
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const own = patches.filter(({ file }) => url.endsWith(`/packages/${file}`));
    return own.length === 0 ? loaded : { ...loaded, source: patched(String(loaded.source), own) };
  },
});
