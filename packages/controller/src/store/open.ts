/** Opens the store of a controller, whatever engine it has. */
import path from 'node:path';
import { requireWhole } from './contents.ts';
import { type EtcdStoreOptions, openEtcdStore } from './etcd.ts';
import { openSqliteStore } from './sqlite.ts';
import { openSqliteReader, type StoreReader } from './sqlite-reader.ts';
import type { Store } from './store.ts';

/** Where the store is. */
export interface StorePlace {
  /** The data directory. */
  data: string;
  /** Undefined: it is a file in the data directory. */
  etcd?: EtcdStoreOptions | undefined;
}

/** The file of an embedded store. */
export const storeFile = (data: string) => path.join(data, 'store.db');

/** @throws Error with a message for the operator if it cannot be used */
export async function openStore({ data, etcd }: StorePlace): Promise<Store> {
  return etcd ? openEtcdStore(etcd) : openSqliteStore(storeFile(data));
}

/** Opens a store that a controller can use. @throws Error also if a copy to it was interrupted */
export async function openWholeStore(place: StorePlace): Promise<Store> {
  return whole(await openStore(place));
}

/** Opens a store to read it, also while controllers use it. @throws as `openWholeStore` */
export async function openToRead({ data, etcd }: StorePlace): Promise<StoreReader & Pick<Store, 'shared'>> {
  return whole(etcd ? await openEtcdStore({ ...etcd, readOnly: true }) : openSqliteReader(storeFile(data)));
}

async function whole<S extends Pick<Store, 'get' | 'close'>>(store: S): Promise<S> {
  try {
    await requireWhole(store);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
