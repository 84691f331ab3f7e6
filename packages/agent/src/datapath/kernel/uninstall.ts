/** Removes every link, pin, map and helper device of ours, of every installation, and whether an agent runs or not. */
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Expedite } from './expedite.ts';
import { HelperDevice } from './helper-device.ts';
import { makeLinks } from './hook-kind.ts';
import { isOurFolder, removeFolder } from './install.ts';

/** @throws Error where the kernel refuses, or something of ours cannot be removed */
export async function uninstall(bpffs: string, expedite: Expedite): Promise<void> {
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
  // Filters may be there also where someone has unmounted the file system of our pins.
  if (ours.length === 0) {
    remove();
  } else {
    expedite.recover();
    expedite.during(remove);
    // Programs first: where they are, every map has to be.
    const programsFirst = ours.toSorted((a, b) => Number(isPrograms(b)) - Number(isPrograms(a)));
    for (const name of programsFirst) {
      removeFolder(join(bpffs, name));
    }
  }
  // Something that is not ours may lie there.
  if (names.length > 0 && listFolder(bpffs).length === 0) {
    rmdirSync(bpffs);
  }
  const helper = new HelperDevice();
  await helper.remove().finally(() => helper.close());
}

function isPrograms(name: string): boolean {
  return name.startsWith('programs-');
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
