/**
 * Which data directory has the files that are on their way to the store. It has the random id of
 * the mark there: a host may get another name, and two hosts have a directory of the same name.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';
import { hasAuthority } from './local-files.ts';
import type { Mark } from './mark.ts';

/** Name of the file with the id. */
export const MOVING_FILE = 'moving-to-etcd';

/** Begins: gives the directory an id. @returns the id, for the mark */
export function beginMoving(data: string): string {
  const id = randomUUID();
  replaceFileSync(path.join(data, MOVING_FILE), `${id}\n`);
  return id;
}

/** The files are in the store. */
export function endMoving(data: string): void {
  rmSync(path.join(data, MOVING_FILE), { force: true });
}

/** Whether the files that are on their way are those of this directory. */
export function isMovedFrom(data: string, { id }: Pick<Mark, 'id'>): boolean {
  const file = path.join(data, MOVING_FILE);
  return id !== undefined && existsSync(file) && readFileSync(file, 'utf8').trim() === id && hasAuthority(data);
}

/** The files of another controller are on their way: only that one may go on. */
export function movedElsewhere({ host, data }: Mark): Error {
  return new Error(
    `the controller with the data directory ${data} on the host ${host} has files that are to be moved to etcd, or was interrupted when it moved them: start that one first. Nothing was changed. If it is lost, "mirrorplane store restore" writes a backup`,
  );
}
