/** The store of the simulation keeps the contract of all stores. */
import { storeContract } from '../../packages/controller/test/store/contract.ts';
import { MemoryStore } from './world/memory-store.ts';

storeContract('memory', {
  async open(_t, keepRevisions) {
    const data = new MemoryStore(keepRevisions === undefined ? {} : { keepRevisions });
    let store = data.handle();
    const reopen = async () => {
      await store.close();
      store = data.handle();
      return store;
    };
    return { store, reopen };
  },
});
