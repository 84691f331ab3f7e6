/**
 * load.ts OBJECT…: loads each program of object files alone, through libbpf, into the kernel that
 * runs. Prints a JSON line for each (`LoadedProgram`). Nothing is pinned or attached.
 */
import { writeSync } from 'node:fs';
import { LIBBPF } from '@mirrorplane/agent/testing/brought';
import koffi from 'koffi';

/** What the kernel says to one program. */
export interface LoadedProgram {
  /** Path of the object file. */
  object: string;
  program: string;
  /** 0, or the number of the error. */
  errno: number;
  /**
   * Instructions that the verifier walked through, of at most 1,000,000. Undefined where it did not
   * say.
   */
  steps: number | undefined;
  /** Seconds of loading, maps included. */
  seconds: number;
  /** The verifier's last lines. Empty where the program loads. */
  lines: string[];
}

const library = koffi.load(LIBBPF);
const call = {
  setPrint: library.func('void *libbpf_set_print(void *print)'),
  open: library.func('void *bpf_object__open_file(const char *path, void *options)'),
  load: library.func('int bpf_object__load(void *object)'),
  close: library.func('void bpf_object__close(void *object)'),
  next: library.func('void *bpf_object__next_program(const void *object, void *program)'),
  name: library.func('const char *bpf_program__name(const void *program)'),
  setAutoload: library.func('int bpf_program__set_autoload(void *program, bool load)'),
  setLogLevel: library.func('int bpf_program__set_log_level(void *program, uint32_t level)'),
  setLogBuffer: library.func('int bpf_program__set_log_buf(void *program, uint8_t *buffer, size_t size)'),
};

/**
 * Levels of the verifier's log: BPF_LOG_STATS, and BPF_LOG_LEVEL1 (include/linux/bpf_verifier.h).
 */
const STATISTICS = 4;
const EVERYTHING = 1;
/**
 * Bytes for the log: UINT_MAX >> 2 is the kernel's limit, and pages that are not written cost
 * nothing.
 */
const LOG_SIZE = 1 << 28;
const SHOWN_LINES = 20;

function programsOf(object: unknown): unknown[] {
  const programs: unknown[] = [];
  for (let program = call.next(object, null); program !== null; program = call.next(object, program)) {
    programs.push(program);
  }
  return programs;
}

/**
 * Loads one program of a file, and returns its name, the error's number and what the verifier said.
 */
function attempt(path: string, index: number, level: number, log: Buffer) {
  const object: unknown = call.open(path, null);
  if (object === null) {
    throw new Error(`libbpf cannot read ${path}`);
  }
  try {
    const programs = programsOf(object);
    for (const [i, program] of programs.entries()) {
      call.setAutoload(program, i === index);
    }
    call.setLogLevel(programs[index], level);
    call.setLogBuffer(programs[index], log, log.length);
    log[0] = 0;
    const errno = Math.max(0, -(call.load(object) as number));
    return { program: call.name(programs[index]) as string, errno, said: log.toString('latin1', 0, log.indexOf(0)) };
  } finally {
    call.close(object);
  }
}

/** How many programs an object file has. */
function count(path: string): number {
  const object: unknown = call.open(path, null);
  if (object === null) {
    throw new Error(`libbpf cannot read ${path}`);
  }
  const { length } = programsOf(object);
  call.close(object);
  return length;
}

/**
 * Loads every program of an object file into the kernel that runs, one after the other.
 * @throws Error where it is no object file
 */
export function* loadEach(path: string): Generator<LoadedProgram> {
  const log = Buffer.alloc(LOG_SIZE);
  for (let i = 0; i < count(path); i++) {
    const began = performance.now();
    const { program, errno, said } = attempt(path, i, STATISTICS, log);
    const seconds = (performance.now() - began) / 1000;
    const steps = /processed (\d+) insns/.exec(said)?.[1];
    // What was wrong is only said where every step is.
    const why = errno === 0 ? '' : attempt(path, i, EVERYTHING, log).said;
    const lines = errno === 0 ? [] : why.trimEnd().split('\n').slice(-SHOWN_LINES);
    yield { object: path, program, errno, steps: steps === undefined ? undefined : Number(steps), seconds, lines };
  }
}

// libbpf's own messages would go to stderr; what it says is in the results.
call.setPrint(null);

if (import.meta.main) {
  for (const path of process.argv.slice(2)) {
    for (const result of loadEach(path)) {
      writeSync(1, `${JSON.stringify(result)}\n`);
    }
  }
}
