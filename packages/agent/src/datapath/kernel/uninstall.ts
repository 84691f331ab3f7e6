/**
 * Removes every link, pin, map and helper device of Mirrorplane, of every installation, with or
 * without a running agent.
 */
import { rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Expedite } from './expedite.ts';
import { HelperDevice } from './helper-device.ts';
import { makeLinks } from './hook-kind.ts';
import { isOurFolder, removeFolder } from './install.ts';
import { listFolder, requireInReach } from './out-of-reach.ts';

/**
 * @throws Error if the kernel refuses, or a part of Mirrorplane cannot be removed. If a part is out
 * of reach, nothing is removed.
 */
export async function uninstall(bpffs: string, expedite: Expedite): Promise<void> {
  const helper = new HelperDevice();
  try {
    await requireInReach(bpffs, await helper.present());
    removePinned(bpffs, expedite);
    await helper.remove();
  } finally {
    helper.close();
  }
}

function removePinned(bpffs: string, expedite: Expedite): void {
  const { links, others } = makeLinks('auto', bpffs);
  const names = listFolder(bpffs);
  const ours = names.filter(isOurFolder);
  const remove = () => {
    for (const kind of [links, others]) {
      kind.open();
      kind.removeAll();
      kind.close();
    }
  };
  // Filters may exist even if someone has unmounted the file system of the pins.
  if (ours.length === 0) {
    remove();
  } else {
    expedite.recover();
    expedite.during(remove);
    // Programs are removed first: programs without all their maps must not exist.
    const programsFirst = ours.toSorted((a, b) => Number(isPrograms(b)) - Number(isPrograms(a)));
    for (const name of programsFirst) {
      removeFolder(join(bpffs, name));
    }
  }
  // Files of others may be there.
  if (names.length > 0 && listFolder(bpffs).length === 0) {
    rmdirSync(bpffs);
  }
}

function isPrograms(name: string): boolean {
  return name.startsWith('programs-');
}
