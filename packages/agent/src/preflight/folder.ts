/** Reads facts about a folder of the agent, without changing anything. */
import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isForeign, requireNotReplaceable } from '@mirrorplane/daemon';

/** Write permission of group and others. */
export const OTHERS_WRITE = 0o022;

export const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

export interface FolderFacts {
  /** The folder. It may be absent. */
  folder: string;
  /** The folder, or the nearest existing folder above it. */
  nearest: string;
  isFolder: boolean;
  /** Owner of `nearest`. */
  uid: number;
  /** The owner is neither root nor the user of this process. */
  foreign: boolean;
  /** Permissions of `nearest`, with the sticky bit. */
  mode: number;
  /**
   * errno of a check for write access to `nearest`, for example EROFS. Undefined: it is writable.
   */
  refused: string | undefined;
}

/** @throws Error if the future folder is uncertain, or other users can replace it */
export function readFolder(folder: string): FolderFacts {
  requireNotReplaceable(folder);
  const nearest = nearestOf(folder);
  const stat = statSync(nearest);
  return {
    folder,
    nearest,
    isFolder: stat.isDirectory(),
    uid: stat.uid,
    foreign: isForeign(stat.uid),
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
    // No folder can be made in the place of a dangling link.
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
