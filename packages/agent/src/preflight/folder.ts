/** A folder that the agent is to use, looked at without changing anything. */
import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { requireNotReplaceable } from '../host/lock.ts';

/** Permissions of group and others to write. */
export const OTHERS_WRITE = 0o022;

export const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

export interface FolderFacts {
  /** The folder. It need not be there. */
  folder: string;
  /** The folder, or the nearest one above it that is there. */
  nearest: string;
  isFolder: boolean;
  /** Owner of `nearest`. */
  uid: number;
  /** Permissions of `nearest`, with the sticky bit. */
  mode: number;
  /** errno of asking whether `nearest` can be written, as EROFS; undefined: it can. */
  refused: string | undefined;
}

/** @throws Error where it cannot be told what the folder will be, or others can replace it */
export function readFolder(folder: string): FolderFacts {
  requireNotReplaceable(folder);
  const nearest = nearestOf(folder);
  const stat = statSync(nearest);
  return {
    folder,
    nearest,
    isFolder: stat.isDirectory(),
    uid: stat.uid,
    mode: stat.mode & 0o7777,
    refused: refusalOf(nearest),
  };
}

function nearestOf(path: string): string {
  try {
    statSync(path);
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || path === dirname(path)) {
      throw error;
    }
    // No folder can be made in its place.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw new Error(`${path} is a symbolic link with a missing target`);
    }
    return nearestOf(dirname(path));
  }
}

function refusalOf(folder: string): string | undefined {
  try {
    accessSync(folder, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
