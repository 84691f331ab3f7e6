/** Stands in for `node:fs/promises`: files of the disk of the host, with a pause before each step. */
import * as real from 'node:fs/promises';
import { running } from '../core/simulation.ts';

export * from 'node:fs/promises';

/** A handle that has what `replaceFile` needs. */
export async function open(path: string, flags: string, mode?: number) {
  const simulation = running();
  if (!simulation) {
    return real.open(path, flags, mode);
  }
  const disk = simulation.disk();
  await disk.turn();
  const file = disk.create(path);
  const turn = async (work: () => void) => {
    await disk.turn();
    work();
  };
  return {
    chmod: async () => {},
    writeFile: (content: string | Iterable<string>) =>
      turn(() => disk.write(file, typeof content === 'string' ? content : [...content].join(''))),
    sync: () => turn(() => disk.sync(file)),
    close: async () => {},
  };
}

export async function rename(from: string, to: string): Promise<void> {
  const disk = running()?.disk();
  if (!disk) {
    return real.rename(from, to);
  }
  await disk.turn();
  disk.rename(from, to);
}

export async function rm(path: string, options?: Parameters<typeof real.rm>[1]): Promise<void> {
  const disk = running()?.disk();
  if (!disk) {
    return real.rm(path, options);
  }
  await disk.turn();
  disk.remove(path);
}

export async function readFile(path: string, options: BufferEncoding): Promise<string> {
  const disk = running()?.disk();
  if (!disk) {
    return real.readFile(path, options);
  }
  await disk.turn();
  return disk.read(path);
}

export async function mkdir(path: string, options?: Parameters<typeof real.mkdir>[1]): Promise<string | undefined> {
  return running() ? undefined : real.mkdir(path, options);
}
