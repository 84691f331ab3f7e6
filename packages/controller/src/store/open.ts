/** Opens the store of a controller, whatever engine it has. */
import { requireWhole } from './contents.ts';
import { type EtcdStoreOptions, openEtcdStore } from './etcd.ts';
import { requireInFile } from './place.ts';
import { openSqliteStore } from './sqlite.ts';
import { openSqliteReader, type StoreReader } from './sqlite-reader.ts';
import type { Store } from './store.ts';
import { storeFile } from './store-file.ts';

/** Where the store is. */
export interface StorePlace {
  /** The data directory. */
  data: string;
  /** Undefined: it is a file in the data directory. */
  etcd?: EtcdStoreOptions | undefined;
}

/** Opens a store in whatever state it is. @throws Error with a message for the operator if it cannot be used */
export async function openStore({ data, etcd }: StorePlace): Promise<Store> {
  return etcd ? openEtcdStore(etcd) : openSqliteStore(storeFile(data));
}

/**
 * Opens a store that a controller can use.
 * @throws Error also if a copy to it was interrupted, or if the store has moved from the file to etcd,
 * or from etcd to a file
 */
export async function openWholeStore(place: StorePlace): Promise<Store> {
  requireHere(place);
  return whole(await openStore(place));
}

/** Opens a store to read it, also while controllers use it. @throws as `openWholeStore` */
export async function openToRead({ data, etcd }: StorePlace): Promise<StoreReader & Pick<Store, 'shared'>> {
  requireHere({ data, etcd });
  return whole(etcd ? await openEtcdStore({ ...etcd, readOnly: true }) : openSqliteReader(storeFile(data)));
}

/** Uses a store, and closes it. */
export async function using<T, S extends Pick<Store, 'close'>>(store: S, use: (store: S) => Promise<T>): Promise<T> {
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

function requireHere({ data, etcd }: StorePlace): void {
  if (etcd === undefined) {
    requireInFile(data);
  }
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
