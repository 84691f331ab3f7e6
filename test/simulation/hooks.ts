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
    'node:os': 'os',
    'node:timers/promises': 'timers-promises',
    ws: 'ws',
  }).map(([specifier, file]) => [specifier, new URL(`./edges/${file}.ts`, import.meta.url).href]),
);

/** Files of the product that others stand in for, with those who get these. */
const STAND_INS: ReadonlyMap<string, { for: string; url: string }> = new Map(
  (
    [
      ['store/etcd/member.ts', 'store/etcd/cluster.ts', 'etcd-member'],
      ['controller.ts', 'clustered.ts', 'controller'],
      ['cluster/runs.ts', 'clustered.ts', 'runs'],
      ['followed-files.ts', 'clustered.ts', 'followed-files'],
      ['http/app.ts', 'clustered.ts', 'app'],
      ['cluster/doors.ts', 'cluster/follower.ts', 'doors'],
      ['cluster/tunnel.ts', 'cluster/follower.ts', 'tunnel'],
      ['cluster/credentials.ts', 'cluster/follower.ts', 'credentials'],
    ] as const
  ).map(([file, user, edge]) => [
    new URL(`../../packages/controller/src/${file}`, import.meta.url).href,
    {
      for: new URL(`../../packages/controller/src/${user}`, import.meta.url).href,
      url: new URL(`./edges/${edge}.ts`, import.meta.url).href,
    },
  ]),
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
    if (edge !== undefined) {
      return { url: edge, format: 'module-typescript', shortCircuit: true };
    }
    const resolved = next(specifier, context);
    const other = STAND_INS.get(resolved.url);
    return other !== undefined && other.for === context.parentURL
      ? { url: other.url, format: 'module-typescript', shortCircuit: true }
      : resolved;
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const own = patches.filter(({ file }) => url.endsWith(`/packages/${file}`));
    return own.length === 0 ? loaded : { ...loaded, source: patched(String(loaded.source), own) };
  },
});
