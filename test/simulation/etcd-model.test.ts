/**
 * The real client of etcd over the simulated members keeps the contract of all stores, as it does
 * over real ones.
 */
import { test } from 'node:test';
import type { Store } from '@mirrorplane/controller/testing/control';
import { Random } from './core/random.ts';
import { Scheduler } from './core/scheduler.ts';
import { activate, type Simulation } from './core/simulation.ts';
import { Trace } from './core/trace.ts';

// Before the product is loaded.
await import('./hooks.ts');
const { openEtcdStore } = await import('@mirrorplane/controller/testing/control');
const { storeContract } = await import('../../packages/controller/test/store/contract.ts');
const { EtcdMembers } = await import('./world/etcd/members.ts');

const ENDPOINTS = ['http://etcd-1:2379', 'http://etcd-2:2379', 'http://etcd-3:2379'];

/** Lets virtual time pass as real time does. */
const scheduler = new Scheduler();
let stopped = false;
const pumped = (async () => {
  const began = performance.now();
  while (!stopped) {
    while (await scheduler.step(performance.now() - began)) {}
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
})();

storeContract('simulated etcd', {
  async open(t, keepRevisions) {
    const random = new Random(1);
    const names = ENDPOINTS.map((url) => new URL(url).hostname);
    const etcd = new EtcdMembers({ scheduler, random, names, isCut: () => false });
    const draws = new Random(2);
    activate({ scheduler, random, draws, trace: new Trace(0), etcd } as unknown as Simulation);
    const open = () => openEtcdStore({ endpoints: ENDPOINTS, ...(keepRevisions !== undefined && { keepRevisions }) });
    let store: Store = await open();
    t.after(() => store.close());
    const reopen = async () => {
      await store.close();
      store = await open();
      return store;
    };
    return { store, reopen };
  },
});

test('the simulated etcd is no longer needed', async () => {
  stopped = true;
  await pumped;
});
