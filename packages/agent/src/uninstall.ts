/** Removes everything that an agent has left on a node. */
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { draftOf } from '@mirrorplane/base';
import { CREDENTIAL_FILES } from './controller-link/enroll.ts';
import type { Datapath } from './datapath/datapath.ts';
import { NeighbourRecord } from './discovery/neighbour-record.ts';
import { releaseAll } from './discovery/neighbours.ts';
import { holdLock, holdPins, LOCK_FILE } from './host/lock.ts';
import { RtClient } from './netlink/rt-client.ts';
import { STATE_FILES } from './start.ts';
import { removeTunnels } from './underlay/tunnel-device.ts';

/** What an uninstall has found. */
export interface Found {
  /** An agent has used the data folder. */
  data: boolean;
  /** There was a folder of pins. */
  pins: boolean;
}

/**
 * Removes the data plane, neighbour entries and files of Mirrorplane. The data folder is removed if
 * it is empty then.
 * @param options.bpffs folder of the pins of `datapath`, if it has pins
 * @returns what was there; if the data folder was not the agent's, its files stay where they are
 * @throws Error if an agent is running, or a folder belongs to other users
 */
export async function uninstall(options: { data: string; datapath: Datapath; bpffs?: string }): Promise<Found> {
  const { data, datapath, bpffs } = options;
  const found = { data: existsSync(join(data, LOCK_FILE)), pins: bpffs !== undefined && existsSync(bpffs) };
  const freeData = existsSync(data) ? await holdLock(data) : undefined;
  try {
    await uninstallDatapath(datapath, bpffs);
    if (freeData !== undefined) {
      await removeFiles(data);
    }
    return found;
  } finally {
    freeData?.();
  }
}

async function uninstallDatapath(datapath: Datapath, bpffs: string | undefined): Promise<void> {
  const free = bpffs !== undefined && existsSync(bpffs) ? await holdPins(bpffs) : undefined;
  try {
    await datapath.uninstall();
  } finally {
    free?.();
  }
}

/**
 * Removes the agent's files and its recorded kernel entries. The folder is removed if it is empty
 * then.
 */
async function removeFiles(data: string): Promise<void> {
  const client = new RtClient();
  try {
    await removeTunnels(client);
    await releaseAll(client, await NeighbourRecord.load(join(data, STATE_FILES.neighbours)));
  } finally {
    client.close();
  }
  const files = [...Object.values(STATE_FILES), ...Object.values(CREDENTIAL_FILES), LOCK_FILE];
  const paths = files.map((file) => join(data, file));
  await Promise.all([...paths, ...paths.map(draftOf)].map((path) => rm(path, { force: true })));
  await rmdir(data).catch(() => undefined);
}
