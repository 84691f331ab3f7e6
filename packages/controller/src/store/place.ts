/**
 * What a data directory knows of where its store is, in the file `store-place`: `etcd` and the
 * members, a line each, or `file`. So nobody goes on with a `store.db` from before the move to etcd
 * because `--etcd` was left out.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '@mirrorplane/daemon';
import { replaceOwned } from './owned-file.ts';
import { clusterKeyFile, storeFile } from './store-file.ts';

export const PLACE_FILE = 'store-place';
const FILE = 'file';
const ETCD = 'etcd';

/** The members of an etcd cluster. */
interface Members {
  endpoints: readonly string[];
}

const placeFile = (data: string) => path.join(data, PLACE_FILE);

/** Notes where the store is. @param etcd undefined: in the file @throws Error of the file system */
export function keepPlace(data: string, etcd: Members | undefined): void {
  const text = `${[...(etcd ? [ETCD, ...etcd.endpoints] : [FILE])].join('\n')}\n`;
  if (readPlace(data) !== text) {
    replaceOwned(placeFile(data), text);
  }
}

/** As `keepPlace`. A directory that has never had to do with etcd needs no note that it has a file. */
export function notePlace(data: string, etcd: Members | undefined): void {
  if (etcd || readPlace(data) !== undefined || existsSync(clusterKeyFile(data))) {
    keepPlace(data, etcd);
  }
}

/** As `notePlace`, for a controller. It works with a full disk too: the next start notes it. */
export function noteWhere({ data, etcd, log }: { data: string; etcd: Members | undefined; log: Logger }): void {
  try {
    notePlace(data, etcd);
  } catch (error) {
    log.warn({ err: error }, 'the data directory does not know where its store is');
  }
}

/**
 * The etcd that has the store of a data directory. Undefined: a file has it.
 * @returns no endpoints where they are not known: an earlier release has left no note, and `cluster.key`
 * or a start over etcd is newer than what `store.db` has
 */
export function etcdPlace(data: string): Members | undefined {
  const place = readPlace(data);
  if (place === undefined) {
    const isOver = existsSync(clusterKeyFile(data)) && writtenAt(...storeFiles(data)) < writtenAt(...traces(data));
    return isOver ? { endpoints: [] } : undefined;
  }
  const [kind, ...endpoints] = place.trim().split('\n');
  return kind === FILE ? undefined : { endpoints: endpoints.filter((url) => URL.canParse(url)) };
}

/** @throws Error with the ways out if the store of a data directory is in etcd */
export function requireInFile(data: string): void {
  const place = etcdPlace(data);
  if (place !== undefined) {
    const etcd = `--etcd ${membersOf(place)}`;
    throw new Error(
      `the store of ${data} is in etcd, and a store.db there is from before the move: say ${etcd}. The way back to the file is "mirrorplane store copy --to file --overwrite --data ${data} ${etcd}". If the store in etcd is given up for good, write "${FILE}" into ${placeFile(data)}. Nothing was changed`,
    );
  }
}

/** @throws Error with the ways out if the store to copy to etcd is not that in the file */
export function requireToCopy(data: string): void {
  const place = etcdPlace(data);
  if (place !== undefined) {
    throw new Error(
      `the store of ${data} is in etcd already (${membersOf(place)}), and its store.db is from before the move. If store.db is to take the place of what is in etcd, write "${FILE}" into ${placeFile(data)} first. Nothing was changed`,
    );
  }
}

const membersOf = ({ endpoints }: Members) => endpoints.join() || 'https://HOST:2379';

function readPlace(data: string): string | undefined {
  const file = placeFile(data);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** SQLite keeps changes in the second one until it is closed. */
const storeFiles = (data: string) => [storeFile(data), `${storeFile(data)}-wal`];

/** Written by what has to do with etcd. */
const traces = (data: string) => [clusterKeyFile(data), path.join(data, 'runs')];

/** When one of the files got its contents, in milliseconds since 1970. 0: there is none, or it is empty. */
function writtenAt(...files: string[]): number {
  const times = files.map((file) => {
    const found = statSync(file, { throwIfNoEntry: false });
    return found && found.size > 0 ? found.mtimeMs : 0;
  });
  return Math.max(...times);
}
