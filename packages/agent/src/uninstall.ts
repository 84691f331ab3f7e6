/** Takes back everything that an agent left on a node. */
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Datapath } from './datapath/datapath.ts';
import { NeighbourRecord } from './discovery/neighbour-record.ts';
import { releaseAll } from './discovery/neighbours.ts';
import { RtClient } from './discovery/rtnetlink.ts';
import { CREDENTIAL_FILES } from './enroll.ts';
import { draftOf } from './files.ts';
import { holdLock } from './lock.ts';
import { STATE_FILES } from './start.ts';

/**
 * Removes the data plane, our neighbour entries and our files; the data folder too if nothing else is in it.
 * @throws Error where an agent is running
 */
export async function uninstall(options: { data: string; datapath: Datapath }): Promise<void> {
  const { data, datapath } = options;
  if (!existsSync(data)) return await datapath.uninstall();
  const free = await holdLock(data);
  try {
    await datapath.uninstall();
    const client = new RtClient();
    try {
      await releaseAll(client, await NeighbourRecord.load(join(data, STATE_FILES.neighbours)));
    } finally {
      client.close();
    }
    const files = [...Object.values(STATE_FILES), ...Object.values(CREDENTIAL_FILES)];
    const paths = files.map((file) => join(data, file));
    await Promise.all([...paths, ...paths.map(draftOf)].map((path) => rm(path, { force: true })));
    await rmdir(data).catch(() => undefined);
  } finally {
    await free();
  }
}
