/** Copies of a store from the file to etcd, and back. Only one of both goes on afterwards. */
import { existsSync } from 'node:fs';
import { endMoving } from '../shared/moving.ts';
import { awayError, awayOf, awayTo, isAwayTo } from '../store/away.ts';
import { type Contents, contentsOf, fill, isInterrupted, requireSome, requireWhole } from '../store/contents.ts';
import type { EtcdStoreOptions } from '../store/etcd.ts';
import { openStore, using } from '../store/open.ts';
import { etcdPlace, keepPlace, requireToCopy } from '../store/place.ts';
import type { Store } from '../store/store.ts';
import { storeFile } from '../store/store-file.ts';
import { DataWriter } from './data-files.ts';
import { emptyForFiles, leaveEtcd, requireUnshared, writeSharedFiles } from './shared-part.ts';

/** What to copy, and whether what is there may be removed. */
export interface CopyOptions {
  data: string;
  etcd: EtcdStoreOptions;
  overwrite: boolean;
}

/**
 * Copies the store of a data directory to etcd. The directory knows from then on that it is there.
 * @throws Error with a message for the operator
 */
export async function copyToEtcd({ data, etcd, overwrite }: CopyOptions): Promise<Contents> {
  if (!existsSync(storeFile(data))) {
    throw new Error(`${storeFile(data)} is not there: is this the data directory of the controller?`);
  }
  return using(await openStore({ data }), async (source) => {
    await requireWhole(source);
    const found = await contentsOf(source);
    await using(await openStore({ data, etcd }), async (store) => {
      if (!(await isInterrupted(store))) {
        requireToCopy(data);
      }
      await requireUnshared(store, overwrite);
      const meanwhile = async () => {
        // Until etcd has all, the store is the file.
        keepPlace(data, undefined);
        await emptyForFiles(store, data, new DataWriter(data));
      };
      await fill(store, found, { overwrite, meanwhile, filled: () => keepPlace(data, etcd) });
    });
    return found;
  });
}

/**
 * Copies the store in etcd to the file of a data directory. No controller leads in etcd from then on.
 * Until that is certain, none starts with the file. An interrupted call can be repeated.
 * @throws Error with a message for the operator
 */
export async function copyToFile({ data, etcd, overwrite }: CopyOptions): Promise<Contents> {
  return using(await openStore({ data, etcd }), async (source) => {
    await requireToCopyBack(source, data);
    const found = await contentsOf(source);
    requireSome(found, `etcd (${etcd.endpoints.join()})`, 'are these the members?');
    await using(await openStore({ data }), async (store) => {
      const meanwhile = async () => {
        keepPlace(data, etcd);
        await writeSharedFiles(data, source);
      };
      await fill(store, found, { overwrite, meanwhile });
      await leaveEtcd(source, data, awayTo(data));
    });
    endMoving(data);
    keepPlace(data, undefined);
    return found;
  });
}

/** What another call has marked as away, and has not ended, can be copied once more. */
async function requireToCopyBack(source: Store, data: string): Promise<void> {
  const away = await awayOf(source);
  if (away === undefined) {
    await requireWhole(source);
  } else if (!isAwayTo(data, away) || etcdPlace(data) === undefined) {
    throw awayError(away);
  }
}
