/** Loading the data plane, or taking over one that is pinned already. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { OBJECT_PATH } from './brought.ts';
import {
  BpfMap,
  closeFd,
  getPinned,
  type LoadedObject,
  loadObject,
  mapInfo,
  mapsOf,
  pin,
  programId,
  shapesIn,
} from './libbpf.ts';
import { PROGRAMS, type ProgramName } from './links.ts';

export { OBJECT_PATH };

const BPF_FS_MAGIC = 0xcafe4a11;

/** Pin of the link by which the kernel tells what guests read; there while something is held. */
export const READER_PIN = 'reader';

/** Maps that user space reads or writes. */
export const MAPS = [
  'captures',
  'arrival_ports',
  'arrivals',
  'destinations',
  'own_sources',
  'foreign_sources',
  'arrived_frames',
  'counted_frames',
  'host_addresses',
  'copy_vlans',
  'node_place',
  'sent_copies',
  'budget_rates',
  'budget_buckets',
  'physical_devices',
  'capture_counters',
  'deliveries',
  'delivery_counters',
  'delivery_sequences',
  'terminations',
  'termination_counters',
  'termination_sequences',
  'peers',
  'node_counters',
  'holds',
  'hold_counts',
  'held_copies',
  'hold_numbers',
  'copy_context',
  'kept_bytes',
  'slots',
  'slot_names',
] as const;
export type MapName = (typeof MAPS)[number];

/** The program that hears what guests read. It is not for a hook. */
const READER = 'read_copy';
const PROGRAM_NAMES = [...Object.values(PROGRAMS), READER];

/** Maps that no program uses. */
const USER_SPACE_ALONE: ReadonlySet<MapName> = new Set<MapName>(['slots', 'slot_names']);

/** What runs in the kernel: every map, and the programs that links are made of. */
export interface Installation {
  maps: Record<MapName, BpfMap>;
  programs: ReadonlyMap<ProgramName, number>;
  /** The program that hears what guests read. */
  reader: number;
  /** Kernel ids of the programs. */
  programIds: ReadonlySet<number>;
  /** Removes the programs of other builds, which no link may use any more, and the maps that only they had. */
  finish(): void;
  /** Pins again what other software has unpinned. Returns how many pins were missing. */
  restorePins(): number;
  close(): void;
}

/**
 * Counters, and which identity they belong to: where one of these maps changes its layout, all of them begin again from 0, and
 * readers see another epoch.
 */
const COUNTING: readonly MapName[] = [
  'slots',
  'slot_names',
  'capture_counters',
  'delivery_counters',
  'delivery_sequences',
  'termination_counters',
  'termination_sequences',
  'node_counters',
];

/** A build that is ready to be installed. */
export interface Prepared {
  /** Mark of the object file: the folder of its programs bears it. */
  build: string;
  /** Where each map is, or is to be made. */
  pins: Record<MapName, string>;
  /** Loaded, and pinned nowhere yet. Undefined: the build is installed. */
  object: LoadedObject | undefined;
}

/**
 * Loads the build where it is not installed. Changes nothing in bpffs.
 * @throws ProgramRefused where the kernel does not take a program; Error where the object is not there or not loadable
 */
export function prepare(bpffs: string, objectPath = OBJECT_PATH): Prepared {
  if (!existsSync(objectPath)) {
    throw new Error(`the data plane is not built: no ${objectPath}; run "make build"`);
  }
  const build = createHash('sha256').update(readFileSync(objectPath)).digest('hex').slice(0, 12);
  const pins = choosePins(join(bpffs, 'maps'), objectPath);
  const installed = isWhole(join(bpffs, `programs-${build}`), pins);
  const present = Object.fromEntries(Object.entries(pins).filter(([, path]) => existsSync(path)));
  const object = installed ? undefined : loadObject(objectPath, present);
  return { build, pins, object };
}

/**
 * Maps stay where they are; programs are replaced only where the build has changed. The folder of programs bears the
 * hash of the object file, so one look tells which build is installed.
 *
 * A map that this build wants in another shape is made beside the old one, which the programs that run now go on with:
 * `finish` is to be called when the new ones are filled and the links have the new programs.
 * @param prepared of the same folder; its object is closed
 * @throws Error where `bpffs` is not on a BPF file system or takes no pins. Then nothing new is left there
 */
export function install(bpffs: string, prepared: Prepared): Installation {
  const { build, pins, object } = prepared;
  const mapFolder = join(bpffs, 'maps');
  const programFolder = join(bpffs, `programs-${build}`);
  try {
    if (object !== undefined) {
      pinObject(bpffs, prepared, object, programFolder);
    }
  } finally {
    object?.close();
  }
  const maps = Object.fromEntries(MAPS.map((name) => [name, new BpfMap(name, openPinned(pins[name]))]));
  const programs = new Map(Object.values(PROGRAMS).map((name) => [name, openPinned(join(programFolder, name))]));
  const reader = openPinned(join(programFolder, READER));
  const all = () => [
    ...Object.values(maps).map((map) => [pins[map.name as MapName], map.fd] as const),
    ...[...programs].map(([name, fd]) => [join(programFolder, name), fd] as const),
    [join(programFolder, READER), reader] as const,
  ];
  return {
    maps: maps as Record<MapName, BpfMap>,
    programs,
    reader,
    programIds: new Set([...programs.values()].map(programId)),
    finish() {
      for (const name of readdirSync(bpffs)) {
        if (name.startsWith('programs-') && name !== `programs-${build}`) {
          removeFolder(join(bpffs, name));
        }
      }
      for (const name of MAPS) {
        const path = join(mapFolder, name);
        if (pins[name] !== path) {
          renameSync(pins[name], path);
        }
        pins[name] = path;
      }
      const known = new Set<string>(MAPS);
      for (const name of readdirSync(mapFolder)) {
        if (!known.has(name)) {
          unlinkSync(join(mapFolder, name));
        }
      }
    },
    restorePins() {
      mkdirSync(mapFolder, { recursive: true, mode: 0o700 });
      mkdirSync(programFolder, { recursive: true });
      const missing = all().filter(([path]) => !existsSync(path));
      for (const [path, fd] of missing) {
        pin(fd, path);
      }
      return missing.length;
    },
    close() {
      for (const map of Object.values(maps)) {
        closeFd(map.fd);
      }
      for (const fd of programs.values()) {
        closeFd(fd);
      }
      closeFd(reader);
    },
  };
}

function pinObject(bpffs: string, { pins }: Prepared, object: LoadedObject, programFolder: string): void {
  const partFolder = join(bpffs, 'programs-part');
  const mapFolder = join(bpffs, 'maps');
  const newMaps: string[] = [];
  const made = mkdirSync(mapFolder, { recursive: true, mode: 0o700 });
  try {
    if (statfsSync(bpffs).type !== BPF_FS_MAGIC) {
      throw new Error(`${bpffs} is not on a BPF file system; mount one with "mount -t bpf bpf /sys/fs/bpf"`);
    }
    for (const name of MAPS) {
      if (existsSync(pins[name])) {
        continue;
      }
      pin(object.map(name), pins[name]);
      newMaps.push(pins[name]);
    }
    removeFolder(programFolder);
    // Made under another name and moved: a process that is killed in between leaves nothing that looks whole.
    removeFolder(partFolder);
    mkdirSync(partFolder);
    for (const name of PROGRAM_NAMES) {
      pin(object.program(name), join(partFolder, name));
    }
    renameSync(partFolder, programFolder);
  } catch (error) {
    removeFolder(partFolder);
    for (const path of newMaps) {
      rmSync(path, { force: true });
    }
    if (made !== undefined) {
      removeEmpty(mapFolder, made);
    }
    throw error;
  }
}

/** Removes empty folders from `folder` up to `last`. */
function removeEmpty(folder: string, last: string): void {
  for (let path = folder; path.startsWith(last); path = dirname(path)) {
    try {
      rmdirSync(path);
    } catch {
      return; // something is in it, of ours or of others
    }
  }
}

function openPinned(path: string): number {
  const fd = getPinned(path);
  if (fd === undefined) {
    throw new Error(`${path} is missing; another process removes pins while the data path starts`);
  }
  return fd;
}

function withPinned<T>(path: string, read: (fd: number) => T): T | undefined {
  const fd = getPinned(path);
  if (fd === undefined) {
    return undefined;
  }
  try {
    return read(fd);
  } finally {
    closeFd(fd);
  }
}

/**
 * Where the maps of this build are, or are to be made: under their names, or, where a map of another shape has the name,
 * beside it, with a mark of this build's shapes behind the name. Comes to the same however often it is begun.
 */
function choosePins(mapFolder: string, objectPath: string): Record<MapName, string> {
  const wanted = shapesIn(objectPath, MAPS);
  const mark = createHash('sha256')
    .update(JSON.stringify([...wanted]))
    .digest('hex')
    .slice(0, 8);
  // bpffs takes no dots in names.
  const beside = (name: MapName) => join(mapFolder, `${name}-${mark}`);
  const differs = (name: MapName) => {
    const shape = withPinned(join(mapFolder, name), (fd) => mapInfo(fd).shape);
    return shape !== undefined && `${shape}` !== `${wanted.get(name)}`;
  };
  const changed = new Set(MAPS.filter(differs));
  if (COUNTING.some((name) => changed.has(name))) {
    for (const name of COUNTING) {
      changed.add(name);
    }
  }
  const path = (name: MapName) =>
    changed.has(name) || existsSync(beside(name)) ? beside(name) : join(mapFolder, name);
  return Object.fromEntries(MAPS.map((name) => [name, path(name)])) as Record<MapName, string>;
}

/** True where all programs are there, and use these very maps. */
function isWhole(programFolder: string, pins: Record<MapName, string>): boolean {
  const used = new Set<number>();
  for (const name of PROGRAM_NAMES) {
    const ids = withPinned(join(programFolder, name), mapsOf);
    if (ids === undefined) {
      return false;
    }
    for (const id of ids) {
      used.add(id);
    }
  }
  return MAPS.every((name) => {
    const id = withPinned(pins[name], (fd) => mapInfo(fd).id);
    return id !== undefined && (used.has(id) || USER_SPACE_ALONE.has(name));
  });
}

/** What we make in bpffs. Everything else there belongs to other software. */
export function isOurFolder(name: string): boolean {
  return ['maps', 'links', 'expedited', READER_PIN].includes(name) || name.startsWith('programs-');
}

/** Removes a folder of pins and what is in it; one that is gone already is fine. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
