/** Loading the data plane, or taking over one that is pinned already. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BpfMap, closeFd, getPinned, loadObject, pin, programId } from './libbpf.ts';
import { PROGRAMS, type ProgramName } from './links.ts';

/** The object that `make build` makes of packages/bpf. */
export const OBJECT_PATH = fileURLToPath(new URL('../../../../bpf/dist/mirror.bpf.o', import.meta.url));

const BPF_FS_MAGIC = 0xcafe4a11;

/** Maps that user space reads or writes. */
export const MAPS = [
  'captures',
  'arrival_ports',
  'arrivals',
  'host_addresses',
  'copy_vlans',
  'budgets',
  'physical_devices',
  'capture_counters',
  'deliveries',
  'delivery_counters',
  'delivery_sequences',
  'terminations',
  'termination_counters',
  'termination_sequences',
  'node_counters',
  'copy_context',
  'slots',
] as const;
export type MapName = (typeof MAPS)[number];

/** What runs in the kernel: every map, and the programs that links are made of. */
export interface Installation {
  maps: Record<MapName, BpfMap>;
  programs: ReadonlyMap<ProgramName, number>;
  /** Kernel ids of the programs. */
  programIds: ReadonlySet<number>;
  /** Pins what somebody has unpinned. Returns how many pins were missing. */
  restorePins(): number;
  close(): void;
}

/**
 * Maps stay where they are; programs are loaded anew only where the build has changed. The folder of programs bears the
 * hash of the object file, so one look tells which build is installed.
 * @throws Error where `bpffs` is not on a BPF file system, or the kernel refuses the programs.
 */
export function install(bpffs: string, sizes: Partial<Record<MapName, number>>): Installation {
  if (!existsSync(OBJECT_PATH)) throw new Error(`the data plane is not built: no ${OBJECT_PATH}; run "make build"`);
  const build = createHash('sha256').update(readFileSync(OBJECT_PATH)).digest('hex').slice(0, 12);
  const mapFolder = join(bpffs, 'maps');
  mkdirSync(mapFolder, { recursive: true, mode: 0o700 });
  if (statfsSync(bpffs).type !== BPF_FS_MAGIC) {
    throw new Error(`${bpffs} is not on a BPF file system; mount one with "mount -t bpf bpf /sys/fs/bpf"`);
  }
  const pins = Object.fromEntries(MAPS.map((name) => [name, join(mapFolder, name)]));
  const programFolder = join(bpffs, `programs-${build}`);
  if (!existsSync(programFolder)) {
    // Made under another name and moved: a folder of the final name is always whole.
    const partFolder = join(bpffs, 'programs-part');
    removeFolder(partFolder);
    mkdirSync(partFolder);
    const object = loadObject(OBJECT_PATH, pins, sizes as Record<string, number>);
    try {
      for (const name of Object.values(PROGRAMS)) pin(object.program(name), join(partFolder, name));
    } finally {
      object.close();
    }
    renameSync(partFolder, programFolder);
  }
  const open = (path: string) => {
    const fd = getPinned(path);
    if (fd === undefined) throw new Error(`${path} is missing; remove ${bpffs} with "mirrorplane agent --uninstall"`);
    return fd;
  };
  const maps = Object.fromEntries(MAPS.map((name) => [name, new BpfMap(name, open(pins[name]!))]));
  const programs = new Map(Object.values(PROGRAMS).map((name) => [name, open(join(programFolder, name))]));
  const all = [
    ...Object.values(maps).map((map) => [pins[map.name]!, map.fd] as const),
    ...[...programs].map(([name, fd]) => [join(programFolder, name), fd] as const),
  ];
  return {
    maps: maps as Record<MapName, BpfMap>,
    programs,
    programIds: new Set([...programs.values()].map(programId)),
    restorePins() {
      mkdirSync(mapFolder, { recursive: true, mode: 0o700 });
      mkdirSync(programFolder, { recursive: true });
      const missing = all.filter(([path]) => !existsSync(path));
      for (const [path, fd] of missing) pin(fd, path);
      return missing.length;
    },
    close() {
      for (const map of Object.values(maps)) closeFd(map.fd);
      for (const fd of programs.values()) closeFd(fd);
    },
  };
}

/** Removes the programs of earlier builds, once no link uses them. */
export function removeOldPrograms(bpffs: string): void {
  const build = createHash('sha256').update(readFileSync(OBJECT_PATH)).digest('hex').slice(0, 12);
  for (const name of readdirSync(bpffs)) {
    if (name.startsWith('programs-') && name !== `programs-${build}`) removeFolder(join(bpffs, name));
  }
}

/** Removes a folder of pins. bpffs knows no recursive removal of its own. */
export function removeFolder(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) unlinkSync(join(folder, name));
  rmdirSync(folder);
}
