/** Checks the data folder, with the key, the certificate and the last program. */
import { statfsSync } from 'node:fs';
import { type Check, failed, ok, warning } from './check.ts';
import { type FolderFacts, OTHERS_WRITE, readFolder } from './folder.ts';

/** Bytes that should be free. The files of a large node need a few MiB. */
const ROOM = 64 * 2 ** 20;

export interface DataFolderFacts extends FolderFacts {
  /** Free bytes. */
  free: number;
}

/** Reads facts about the folder. Changes nothing. */
export function readDataFolder(folder: string): DataFolderFacts {
  const facts = readFolder(folder);
  const { bavail, bsize } = statfsSync(facts.nearest);
  return { ...facts, free: bavail * bsize };
}

export function judgeDataFolder({
  folder,
  nearest,
  isFolder,
  uid,
  foreign,
  mode,
  refused,
  free,
}: DataFolderFacts): Check {
  const there = nearest === folder;
  if (!isFolder) {
    return failed('data-folder', `${nearest} is a file`, 'give another directory with --data, or remove the file');
  }
  if (refused !== undefined) {
    const found = `${nearest} cannot be written: ${refused}`;
    return failed('data-folder', found, 'give a directory on a writable disk with --data');
  }
  if (there && foreign) {
    return failed('data-folder', `${folder} belongs to user ${uid}`, `run "chown root: ${folder}"`);
  }
  if (there && (mode & OTHERS_WRITE) !== 0) {
    return failed('data-folder', `other users may write ${folder}`, `run "chmod go-w ${folder}"`);
  }
  if (free < ROOM) {
    const found = `${Math.floor(free / 2 ** 20)} MiB are free for ${folder}`;
    return warning(
      'data-folder',
      found,
      'free disk space: an agent that cannot store its program loses it at the next start',
    );
  }
  return ok('data-folder', there ? folder : `${folder}, which the agent creates`);
}
