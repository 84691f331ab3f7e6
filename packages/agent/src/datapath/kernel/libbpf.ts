/**
 * The one file that calls libbpf, through koffi. Every function throws a BpfError where libbpf
 * returns a negative number. It is long because no other file may call libbpf.
 */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { requireOwnProgram } from '@mirrorplane/daemon';
import koffi from 'koffi';
import { LIBBPF } from './brought.ts';

/**
 * A failed call of libbpf or the kernel. `errno` is positive. `code` is its name, for example
 * EBUSY.
 */
export class BpfError extends Error {
  readonly errno: number;
  readonly code: string;

  constructor(what: string, errno: number) {
    const code = errnoName(errno);
    super(`${what}: ${code}`);
    this.name = 'BpfError';
    this.errno = errno;
    this.code = code;
  }
}

/** Number of verifier lines in an error, and characters of each. */
const SHOWN_LINES = 20;
const SHOWN_COLUMNS = 300;

/**
 * The kernel has refused a program. The message has kernel, program and the last lines of the
 * verifier.
 */
export class ProgramRefused extends BpfError {
  readonly program: string;
  /** The last lines of the verifier's log, without line ends. Empty without a log. */
  readonly lines: readonly string[];

  /** @param log the log of the verifier */
  constructor(program: string, errno: number, log: string) {
    super(`Linux ${release()} refuses the program ${program}`, errno);
    this.name = 'ProgramRefused';
    this.program = program;
    const lines = log.trimEnd().split('\n').slice(-SHOWN_LINES);
    this.lines = log.trim() === '' ? [] : lines.map((line) => line.slice(0, SHOWN_COLUMNS));
    if (this.lines.length > 0) {
      this.message += `. The verifier's last lines:\n${this.lines.join('\n')}`;
    }
  }
}

function errnoName(errno: number): string {
  if (errno === ENOTSUPP) {
    return 'ENOTSUPP'; // kernel-internal, not known to libc
  }
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

const library = koffi.load(LIBBPF);
const libc = koffi.load('libc.so.6');
const takeRecord = koffi.pointer(koffi.proto('int TakeRecord(void *context, void *data, size_t size)'));
const print = koffi.pointer(koffi.proto('int LibbpfPrint(int level, const char *format, void *arguments)'));

const call = {
  setPrint: library.func('libbpf_set_print', 'void *', [print]),
  version: library.func('const char *libbpf_version_string()'),
  probeHelper: library.func('int libbpf_probe_bpf_helper(int type, int helper, const void *options)'),
  programLoad: library.func(
    'int bpf_prog_load(int type, const char *name, const char *license, const void *code, size_t count, void *options)',
  ),
  possibleCpus: library.func('int libbpf_num_possible_cpus()'),
  ringNew: library.func('ring_buffer__new', 'void *', ['int', takeRecord, 'void *', 'void *']),
  ringConsume: library.func('int ring_buffer__consume(void *ring)'),
  ringFree: library.func('void ring_buffer__free(void *ring)'),
  objectOpen: library.func('void *bpf_object__open_file(const char *path, void *options)'),
  objectLoad: library.func('int bpf_object__load(void *object)'),
  objectClose: library.func('void bpf_object__close(void *object)'),
  nextProgram: library.func('void *bpf_object__next_program(const void *object, void *program)'),
  findMap: library.func('void *bpf_object__find_map_by_name(void *object, const char *name)'),
  findProgram: library.func('void *bpf_object__find_program_by_name(void *object, const char *name)'),
  mapFd: library.func('int bpf_map__fd(const void *map)'),
  mapReuse: library.func('int bpf_map__reuse_fd(void *map, int fd)'),
  mapSetPinPath: library.func('int bpf_map__set_pin_path(void *map, const char *path)'),
  mapShape: (['type', 'key_size', 'value_size', 'max_entries', 'map_flags'] as const).map((field) =>
    library.func(`uint32_t bpf_map__${field}(void *map)`),
  ),
  setLogBuffer: library.func('int bpf_program__set_log_buf(void *program, uint8_t *buffer, size_t size)'),
  rawTracepointOpen: library.func('int bpf_raw_tracepoint_open(const char *name, int program)'),
  programFd: library.func('int bpf_program__fd(void *program)'),
  objGet: library.func('int bpf_obj_get(const char *path)'),
  objPin: library.func('int bpf_obj_pin(int fd, const char *path)'),
  objInfo: library.func('int bpf_obj_get_info_by_fd(int fd, void *info, void *length)'),
  lookup: library.func('int bpf_map_lookup_elem(int fd, const void *key, void *value)'),
  update: library.func('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)'),
  remove: library.func('int bpf_map_delete_elem(int fd, const void *key)'),
  nextKey: library.func('int bpf_map_get_next_key(int fd, const void *key, void *next)'),
  lookupBatch: library.func(
    'int bpf_map_lookup_batch(int fd, const void *from, void *to, void *keys, void *values, void *count, void *options)',
  ),
  progQuery: library.func(
    'int bpf_prog_query(int target, int type, uint32_t flags, void *attachFlags, void *ids, void *count)',
  ),
  linkUpdate: library.func('int bpf_link_update(int link, int program, const void *options)'),
  linkDetach: library.func('int bpf_link_detach(int link)'),
  bpf: libc.func('long syscall(long number, int command, void *attributes, uint32_t size)'),
  copyMemory: libc.func('void *memcpy(void *to, const void *from, size_t length)'),
  close: libc.func('int close(int fd)'),
  format: libc.func('int vsnprintf(uint8_t *buffer, size_t size, const char *format, void *arguments)'),
  deviceName: libc.func('char *if_indextoname(uint32_t ifindex, uint8_t *name)'),
};

// libbpf's own messages would go to stderr; failures are reported through return values instead.
call.setPrint(null);

/** @param what names the call. A function where the name costs something: most calls succeed */
function check(what: string | (() => string), result: number): number {
  if (result < 0) {
    throw new BpfError(typeof what === 'string' ? what : what(), -result);
  }
  return result;
}

/** Number of the system call. */
const SYS_BPF = process.arch === 'arm64' ? 280 : 321;

const ENOENT = 2;
const ENODEV = 19;
const EINVAL = 22;
const ENOSPC = 28;
const ENOTSUPP = 524; // of the kernel alone
/** Rows that a reading of a whole map has room for: at first, and at most. */
const LEAST_ROWS = 64;
const MOST_ROWS = 1 << 17;
/** Whole maps are read into these, which grow. */
const scratches = { keys: Buffer.alloc(0), values: Buffer.alloc(0) };

function scratch(name: keyof typeof scratches, size: number): Buffer {
  if (scratches[name].length < size) {
    scratches[name] = Buffer.alloc(size);
  }
  return scratches[name];
}

/** Number of CPUs that per-CPU maps have values for. */
export function possibleCpus(): number {
  return check('count CPUs', call.possibleCpus());
}

export function closeFd(fd: number): void {
  call.close(fd);
}

/** The name of a device, for people. The ifindex if the device is gone. */
export function deviceName(ifindex: number): string {
  const name: string | null = call.deviceName(ifindex, Buffer.alloc(16)); // IF_NAMESIZE
  return name ?? `ifindex ${ifindex}`;
}

/** Opens the object that is pinned at `path`. Undefined if there is none. */
export function getPinned(path: string): number | undefined {
  const fd: number = call.objGet(path);
  if (fd === -ENOENT) {
    return undefined;
  }
  return check(`open ${path}`, fd);
}

export function pin(fd: number, path: string): void {
  check(`pin ${path}`, call.objPin(fd, path));
}

/** A map by its file descriptor. Keys and values are Buffers of exactly the map's sizes. */
export class BpfMap {
  readonly name: string;
  readonly fd: number;

  constructor(name: string, fd: number) {
    this.name = name;
    this.fd = fd;
  }

  /**
   * Fills `value`. Per-CPU maps have one value for each possible CPU, padded to 8 bytes. False if
   * the key is absent.
   */
  lookup(key: Buffer, value: Buffer): boolean {
    const result: number = call.lookup(this.fd, key, value);
    if (result === -ENOENT) {
      return false;
    }
    check(() => `look up in map ${this.name}`, result);
    return true;
  }

  update(key: Buffer, value: Buffer): void {
    check(`update map ${this.name}`, call.update(this.fd, key, value, 0));
  }

  /** False if the key was absent. */
  remove(key: Buffer): boolean {
    const result: number = call.remove(this.fd, key);
    if (result === -ENOENT) {
      return false;
    }
    check(`delete from map ${this.name}`, result);
    return true;
  }

  /**
   * All rows, read with as few calls as possible. The buffers are valid until the next call for any
   * map. Undefined if the kernel reads this map only row by row.
   * @param room how many rows are expected
   */
  content(keySize: number, valueSize: number, room: number): MapContent | undefined {
    for (let most = Math.max(room, LEAST_ROWS); ; most *= 2) {
      const keys = scratch('keys', most * keySize);
      const values = scratch('values', most * valueSize);
      const count = Buffer.alloc(4);
      count.writeUInt32LE(most);
      const place = Buffer.alloc(Math.max(keySize, 4)); // a number of a bucket, or a key
      const result: number = call.lookupBatch(this.fd, null, place, keys, values, count, null);
      const found = count.readUInt32LE();
      // ENOENT: there are no more. Otherwise more rows may follow, and they are read with more room.
      if (result === -ENOENT) {
        return { count: found, keys: keys.subarray(0, found * keySize), values: values.subarray(0, found * valueSize) };
      }
      if (result === -EINVAL || result === -ENOTSUPP || most > MOST_ROWS) {
        return undefined;
      }
      if (result !== -ENOSPC) {
        check(() => `read map ${this.name}`, result);
      }
    }
  }

  /** All keys. They are collected before the call returns. */
  keys(size: number): Buffer[] {
    const keys: Buffer[] = [];
    let key: Buffer | null = null;
    for (;;) {
      const next: Buffer = Buffer.alloc(size);
      const result: number = call.nextKey(this.fd, key, next);
      if (result === -ENOENT) {
        return keys;
      }
      check(`walk map ${this.name}`, result);
      keys.push(next);
      key = next;
    }
  }
}

/** The rows of a map, one after the other. */
export interface MapContent {
  count: number;
  keys: Buffer;
  values: Buffer;
}

/** What a callback returns to read no more records for now: ECANCELED. */
const ENOUGH = -125;

/** Takes records out of a ring buffer. */
export class RingReader {
  readonly #ring: unknown;
  readonly #listener: ReturnType<typeof koffi.register>;
  #records: Buffer[] = [];
  #most = 0;

  constructor(map: BpfMap) {
    this.#listener = koffi.register((_context: unknown, data: unknown, size: number) => {
      const record = Buffer.alloc(Number(size));
      call.copyMemory(record, data, record.length);
      this.#records.push(record);
      return this.#records.length < this.#most ? 0 : ENOUGH;
    }, takeRecord);
    this.#ring = call.ringNew(map.fd, this.#listener, null, null);
    if (this.#ring === null) {
      koffi.unregister(this.#listener);
      throw new BpfError(`open the ring buffer ${map.name}`, koffi.errno());
    }
  }

  /**
   * The oldest records, at least 1 and at most `most`, where there are any. They are gone from the
   * ring then.
   */
  read(most: number): Buffer[] {
    this.#most = most;
    const result: number = call.ringConsume(this.#ring);
    const records = this.#records;
    this.#records = [];
    if (result !== ENOUGH) {
      check('read a ring buffer', result);
    }
    return records;
  }

  close(): void {
    call.ringFree(this.#ring);
    koffi.unregister(this.#listener);
  }
}

/** A loaded object file. */
export interface LoadedObject {
  /** File descriptor of a program. Valid until close(). */
  program(name: string): number;
  /** File descriptor of a map. Valid until close(). */
  map(name: string): number;
  close(): void;
}

/**
 * Type, bytes of a key, bytes of a value, number of entries, flags. Maps that differ in these are
 * not interchangeable.
 */
export type MapShape = readonly number[];

/** The kernel's number and the shape of a map that is loaded. */
export function mapInfo(map: number): { id: number; shape: MapShape } {
  const info = Buffer.alloc(24); // struct bpf_map_info up to the flags: type, id, key_size, value_size, max_entries, map_flags
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  check('read map', call.objInfo(map, info, length));
  return { id: info.readUInt32LE(4), shape: [0, 8, 12, 16, 20].map((offset) => info.readUInt32LE(offset)) };
}

/**
 * The shapes of maps as an object file describes them. Nothing is loaded.
 * @throws Error where one of them is not in it
 */
export function shapesIn(path: string, names: readonly string[]): Map<string, MapShape> {
  const object = openObject(path);
  try {
    return new Map(
      names.map((name) => {
        const map: unknown = call.findMap(object, name);
        if (map === null) {
          throw new Error(`${path} has no map ${name}`);
        }
        return [name, call.mapShape.map((read) => read(map) as number)];
      }),
    );
  } finally {
    call.objectClose(object);
  }
}

function openObject(path: string): unknown {
  const object: unknown = call.objectOpen(path, null);
  if (object === null) {
    throw new Error(`cannot read the BPF object ${path}; build it with "make build"`);
  }
  return object;
}

/**
 * Bytes for the log of the verifier: the most that kernels before 6.4 accept. Unwritten pages cost
 * nothing.
 */
const LOG_SIZE = (1 << 24) - 1;
/** Bytes for one message of libbpf. */
const MESSAGE_SIZE = 4096;
const LIBBPF_WARN = 0;

/**
 * Loads an object file. Nothing is pinned.
 * @param pins paths of existing maps to use; libbpf refuses a map of another shape
 * @param shared file descriptors of maps to use
 * @throws ProgramRefused if the kernel refuses a program; BpfError for another failure; Error if
 *   another user can change the file
 */
export function loadObject(
  path: string,
  pins: Partial<Record<string, string>> = {},
  shared: Readonly<Record<string, number>> = {},
): LoadedObject {
  if (existsSync(path)) {
    requireOwnProgram(path, import.meta.filename);
  }
  const object = openObject(path);
  const find = (kind: 'map' | 'program', name: string) => {
    const found: unknown = (kind === 'map' ? call.findMap : call.findProgram)(object, name);
    if (found === null) {
      throw new Error(`${path} has no ${kind} ${name}`);
    }
    return found;
  };
  try {
    for (const [name, pinPath] of Object.entries(pins)) {
      check(`name the pin of map ${name}`, call.mapSetPinPath(find('map', name), pinPath));
    }
    for (const [name, fd] of Object.entries(shared)) {
      const map: unknown = call.findMap(object, name);
      if (map !== null) {
        check(`share map ${name}`, call.mapReuse(map, fd));
      }
    }
    load(path, object);
  } catch (error) {
    call.objectClose(object);
    throw error;
  }
  return {
    program: (name) => check(`find program ${name}`, call.programFd(find('program', name))),
    map: (name) => check(`find map ${name}`, call.mapFd(find('map', name))),
    close: () => call.objectClose(object),
  };
}

function load(path: string, object: unknown): void {
  // One buffer is enough: libbpf requests the log only for a refused program, and stops there.
  const log = Buffer.alloc(LOG_SIZE);
  for (let program = call.nextProgram(object, null); program !== null; program = call.nextProgram(object, program)) {
    check('set the buffer of a log', call.setLogBuffer(program, log, log.length));
  }
  const messages: string[] = [];
  const result = listening(messages, () => call.objectLoad(object) as number);
  if (result >= 0) {
    return;
  }
  const refused = messages.map((message) => /prog '([^']+)': BPF program load failed/.exec(message)?.[1]).find(Boolean);
  if (refused !== undefined) {
    throw new ProgramRefused(refused, -result, textOf(log));
  }
  const error = new BpfError(`load ${path}`, -result);
  error.message = [error.message, ...messages.slice(-SHOWN_LINES)].join('\n');
  throw error;
}

/** Runs `work`, and collects the warnings of libbpf meanwhile. */
function listening<T>(messages: string[], work: () => T): T {
  const text = Buffer.alloc(MESSAGE_SIZE);
  const listener = koffi.register((level: number, format: string, values: unknown) => {
    if (level !== LIBBPF_WARN) {
      return 0;
    }
    call.format(text, text.length, format, values);
    messages.push(textOf(text).trimEnd());
    return 0;
  }, print);
  call.setPrint(listener);
  try {
    return work();
  } finally {
    call.setPrint(null);
    koffi.unregister(listener);
  }
}

/** The text up to the first NUL. */
function textOf(buffer: Buffer): string {
  const end = buffer.indexOf(0);
  return buffer.toString('utf8', 0, end === -1 ? buffer.length : end);
}

/** BPF_PROG_TYPE_SCHED_CLS, include/uapi/linux/bpf.h. */
const FOR_TRAFFIC_CONTROL = 3;

/** Version of the library, for example 1.1. */
export function libbpfVersion(): string {
  return (call.version() as string).replace(/^v/, '');
}

/**
 * Loads a program for traffic control.
 * @param code instructions, 8 bytes each (struct bpf_insn)
 * @returns its file descriptor
 * @throws BpfError where the kernel refuses it
 */
export function loadProgram(code: Buffer): number {
  const count = code.length / 8;
  return check('load a program', call.programLoad(FOR_TRAFFIC_CONTROL, 'trial', 'GPL', code, count, null));
}

/** Whether the kernel has compiled a program to machine code. */
export function isCompiled(program: number): boolean {
  const info = Buffer.alloc(24); // struct bpf_prog_info: type, id, tag (8 bytes), jited_prog_len, xlated_prog_len
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  check('read program', call.objInfo(program, info, length));
  return info.readUInt32LE(16) > 0;
}

/**
 * Whether programs for traffic control may call a helper.
 * @param helper its number in enum bpf_func_id
 */
export function hasHelper(helper: number): boolean {
  return check('look for a helper', call.probeHelper(FOR_TRAFFIC_CONTROL, helper, null)) === 1;
}

/** enum bpf_attach_type and BPF_F_BEFORE, include/uapi/linux/bpf.h (newer than libbpf 1.1). */
const TCX_ATTACH_TYPE = { ingress: 46, egress: 47 } as const;
const BPF_F_BEFORE = 8;
const BPF_F_AFTER = 16;
const BPF_F_ID = 32;
const BPF_LINK_CREATE = 28;
const BPF_LINK_TYPE_TCX = 11;

/**
 * Attaches a program at the head of a tcx hook, or right behind another one. Returns the link's
 * file descriptor.
 * @param behind kernel id of that program
 */
export function attachTcx(program: number, ifindex: number, hook: 'ingress' | 'egress', behind?: number): number {
  // libbpf before 1.3 takes no other program to go by, so the kernel is called itself.
  // union bpf_attr, link_create: prog_fd, target_ifindex, attach_type, flags, tcx
  const request = Buffer.alloc(32);
  [program, ifindex, TCX_ATTACH_TYPE[hook]].forEach((value, i) => {
    request.writeUInt32LE(value, 4 * i);
  });
  request.writeUInt32LE(behind === undefined ? BPF_F_BEFORE : BPF_F_AFTER | BPF_F_ID, 12);
  request.writeUInt32LE(behind ?? 0, 16);
  const link: number = call.bpf(SYS_BPF, BPF_LINK_CREATE, request, request.length);
  const result = link < 0 ? -koffi.errno() : link; // before the next call sets another
  return check(() => `attach to ${hook} of ${deviceName(ifindex)}`, result);
}

/**
 * True if the kernel has tcx. The probe uses the loopback device, which always exists with ifindex
 * 1.
 */
export function hasTcx(): boolean {
  const count = Buffer.alloc(4);
  const result: number = call.progQuery(1, TCX_ATTACH_TYPE.ingress, 0, Buffer.alloc(4), null, count);
  if (result === -EINVAL) {
    return false;
  }
  if (result !== -ENOENT) {
    check('ask for tcx', result);
  }
  return true;
}

/** Attaches a tracepoint program. Returns the link's file descriptor. */
export function attachTracing(program: number): number {
  return check('attach to a tracepoint', call.rawTracepointOpen(null, program));
}

/** The most programs at one hook (BPF_MPROG_MAX, include/linux/bpf_mprog.h). */
const MPROG_MAX = 64;
/** Room for one answer. A node asks for hundreds of hooks at a time, and keeps none of the answers. */
const queried = { ids: Buffer.alloc(4 * MPROG_MAX), count: Buffer.alloc(4), flags: Buffer.alloc(4) };

/**
 * Kernel ids of the programs at a tcx hook, in the order in which they run. Empty where the device
 * is gone.
 */
export function programsAt(ifindex: number, hook: 'ingress' | 'egress'): number[] {
  const { ids, count, flags } = queried;
  count.writeUInt32LE(MPROG_MAX);
  const result: number = call.progQuery(ifindex, TCX_ATTACH_TYPE[hook], 0, flags, ids, count);
  if (result === -ENOENT || result === -ENODEV) {
    return [];
  }
  check(() => `list the programs at ${hook} of ${deviceName(ifindex)}`, result);
  const found: number[] = [];
  for (let i = 0; i < count.readUInt32LE(); i++) {
    found.push(ids.readUInt32LE(4 * i));
  }
  return found;
}

/** Room for one answer about a link. */
const readLink = { info: Buffer.alloc(128), length: Buffer.alloc(4) };

/** The device of a tcx link. 0 if the device is gone and the kernel has detached the link. */
export function tcxLinkInfo(link: number): { ifindex: number; programId: number } {
  const { info, length } = readLink;
  length.writeUInt32LE(info.length);
  check('read link', call.objInfo(link, info, length));
  // struct bpf_link_info: type, id, prog_id, padding, then tcx.ifindex and tcx.attach_type
  if (info.readUInt32LE(0) !== BPF_LINK_TYPE_TCX) {
    throw new Error('a pinned link is not a tcx link');
  }
  return { ifindex: info.readUInt32LE(16), programId: info.readUInt32LE(8) };
}

/** The kernel's id of the program of a link of any kind. */
export function programOfLink(link: number): number {
  const info = Buffer.alloc(16); // struct bpf_link_info: type, id, prog_id
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  check('read link', call.objInfo(link, info, length));
  return info.readUInt32LE(8);
}

/** The kernel's id of a program. */
export function programId(program: number): number {
  const info = Buffer.alloc(16); // struct bpf_prog_info up to the tag: type, id, tag
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  check('read program', call.objInfo(program, info, length));
  return info.readUInt32LE(4);
}

/**
 * How often a program was not run because it was running on this CPU already. 0 on kernels before
 * 5.12.
 */
export function missesOf(program: number): number {
  const info = Buffer.alloc(216); // struct bpf_prog_info up to recursion_misses
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  check('read program', call.objInfo(program, info, length));
  return Number(info.readBigUInt64LE(208));
}

/** The kernel's numbers of the maps that a program uses. */
export function mapsOf(program: number): number[] {
  const ids = Buffer.alloc(4 * 64); // BPF_MAX_USED_MAPS
  // struct bpf_prog_info up to the maps: nr_map_ids is at 52, the address of their array at 56.
  const info = Buffer.alloc(64);
  const length = Buffer.alloc(4);
  info.writeUInt32LE(ids.length / 4, 52);
  info.writeBigUInt64LE(BigInt(koffi.address(ids)), 56);
  length.writeUInt32LE(info.length);
  check('read program', call.objInfo(program, info, length));
  return Array.from({ length: info.readUInt32LE(52) }, (_, i) => ids.readUInt32LE(4 * i));
}

/** Replaces the program of a link atomically. */
export function replaceProgram(link: number, program: number): void {
  check('replace the program of a link', call.linkUpdate(link, program, null));
}

/** Detaches a link from its hook at once, also while other processes hold it. */
export function detachLink(link: number): void {
  check('detach link', call.linkDetach(link));
}
