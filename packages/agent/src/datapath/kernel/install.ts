/** Loads the data plane, or takes over a pinned one. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isOnBpfFileSystem } from '../../host/bpf-file-system.ts';
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

/** Pin of the link that reports what guests read. It exists while copies are held. */
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
  'copy_macs',
  'node_place',
  'sent_copies',
  'budget_rates',
  'budget_buckets',
  'budget_shares',
  'physical_devices',
  'capture_counters',
  'deliveries',
  'delivery_counters',
  'next_hops',
  'delivery_sequences',
  'terminations',
  'termination_counters',
  'termination_sequences',
  'peers',
  'node_counters',
  'probes',
  'probe_counts',
  'holds',
  'hold_counts',
  'held_copies',
  'hold_numbers',
  'looks',
  'look_hooks',
  'look_guests',
  'look_buckets',
  'look_counters',
  'look_records',
  'look_scratch',
  'noted_packets',
  'noted_skbs',
  'noted_flows',
  'copy_context',
  'kept_bytes',
  'slots',
  'slot_names',
] as const;
export type MapName = (typeof MAPS)[number];

/** The program that observes what guests read. It is not attached to a hook. */
const READER = 'read_copy';
const PROGRAM_NAMES = [...Object.values(PROGRAMS), READER];

/** Maps that no program uses. */
const USER_SPACE_ALONE: ReadonlySet<MapName> = new Set<MapName>(['slots', 'slot_names']);

/** The installed data plane: every map, and the programs for links. */
export interface Installation {
  /** Name of the folder with the pins of programs. */
  programFolder: string;
  maps: Record<MapName, BpfMap>;
  programs: ReadonlyMap<ProgramName, number>;
  /** The program that observes what guests read. */
  reader: number;
  /** Kernel ids of the programs. */
  programIds: ReadonlySet<number>;
  /**
   * Removes the programs of other builds, and the maps that only these programs used. No link may
   * use the programs any more.
   */
  finish(): void;
  /** Restores pins that other software has removed. Returns how many pins were missing. */
  restorePins(): number;
  close(): void;
}

/**
 * Maps of counters and of their identities. If the layout of one of them changes, all of them start
 * again from 0, with a new epoch.
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
  'probes',
  'probe_counts',
];

/** A build that is ready to be installed. */
export interface Prepared {
  /** Hash of the object file. It is part of the name of the programs' folder. */
  build: string;
  /** Path of each map, existing or to be made. */
  pins: Record<MapName, string>;
  /** The loaded object, not pinned yet. Undefined: the build is installed. */
  object: LoadedObject | undefined;
}

/**
 * Loads the build if it is not installed. Changes nothing in bpffs.
 * @throws ProgramRefused if the kernel refuses a program; Error if the object is absent or cannot
 * be loaded
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
 * Installs a build. Maps stay where they are. Programs are replaced only if the build has changed.
 * The name of the programs' folder has the hash of the object file, so it tells which build is
 * installed.
 *
 * If a map needs another shape, the new map is made beside the old one, because the running
 * programs still use the old one. Call `finish` when the new maps are filled and the links have the
 * new programs.
 * @param prepared result of `prepare` for the same folder; its object is closed
 * @throws Error if `bpffs` is not on a BPF file system, or pins are refused; nothing new is left
 * there
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
    programFolder: basename(programFolder),
    finish() {
      removeOtherBuilds(bpffs, build);
      renameMaps(mapFolder, pins);
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

function removeOtherBuilds(bpffs: string, build: string): void {
  for (const name of readdirSync(bpffs)) {
    if (name.startsWith('programs-') && name !== `programs-${build}`) {
      removeFolder(join(bpffs, name));
    }
  }
}

/** Moves maps that are pinned elsewhere to their places, and removes maps of other builds. */
function renameMaps(mapFolder: string, pins: Prepared['pins']): void {
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
}

function pinObject(bpffs: string, { pins }: Prepared, object: LoadedObject, programFolder: string): void {
  const partFolder = join(bpffs, 'programs-part');
  const mapFolder = join(bpffs, 'maps');
  const newMaps: string[] = [];
  const made = mkdirSync(mapFolder, { recursive: true, mode: 0o700 });
  try {
    if (!isOnBpfFileSystem(bpffs)) {
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
    // The folder is made under another name and then renamed. So a killed process never leaves a
    // folder that looks complete.
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
 * Paths of the maps of this build. If a map of another shape has the name, the path has a hash of
 * this build's shapes after the name. The result is the same for every call.
 */
function choosePins(mapFolder: string, objectPath: string): Record<MapName, string> {
  const wanted = shapesIn(objectPath, MAPS);
  const mark = createHash('sha256')
    .update(JSON.stringify([...wanted]))
    .digest('hex')
    .slice(0, 8);
  // bpffs allows no dots in names.
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

/** True if all programs exist, and use exactly these maps. */
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

/**
 * Whether Mirrorplane makes a folder of this name in bpffs. Everything else belongs to other
 * software.
 */
export function isOurFolder(name: string): boolean {
  return ['maps', 'links', 'expedited', READER_PIN].includes(name) || name.startsWith('programs-');
}

/** Removes a folder of pins with its contents, if it exists. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
