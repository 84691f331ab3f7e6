/**
 * Lays down what a daemon does not need. The kernel keeps capabilities for each thread, and Node.js
 * has threads before the first line of a program runs. So the main thread lays down its own, and
 * then executes Node.js again in the same process: that ends all other threads, and the new ones
 * have what the main thread has.
 */
import { readFileSync } from 'node:fs';
import { type Capability, hasTooMuch, maskOf, type Privileges, parsePrivileges } from './capabilities.ts';

/** include/uapi/linux/prctl.h */
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
/** _LINUX_CAPABILITY_VERSION_3 of include/uapi/linux/capability.h */
const VERSION = 0x20080522;

interface Calls {
  prctl(option: number, ...rest: number[]): void;
  capset(permitted: bigint, inheritable: bigint): void;
}

/**
 * Keeps `keep` at most, in every set, and refuses new privileges for good. Where this process has
 * more, it starts again without it, and this function does not return. Call it before anything is
 * opened. Processes that it starts later have no capability, except those of a root user.
 * @throws Error where the kernel refuses it
 */
export async function keepOnly(keep: readonly Capability[]): Promise<void> {
  const mask = maskOf(keep);
  const now = readPrivileges();
  const calls = await openCalls();
  if (hasTooMuch(now, mask)) {
    layDown(calls, now, mask);
    startAgain();
  }
  // What is inherited was needed to get here, and would be of use to every program that is started.
  calls.capset(now.permitted, 0n);
}

/** Privileges of the main thread of this process. */
export function readPrivileges(): Privileges {
  return parsePrivileges(readFileSync('/proc/self/status', 'utf8'));
}

function layDown({ prctl, capset }: Calls, { permitted, bounding }: Privileges, keep: bigint): void {
  if ((permitted & maskOf(['CAP_SETPCAP'])) !== 0n) {
    for (const bit of bits(bounding & ~keep)) {
      prctl(PR_CAPBSET_DROP, bit, 0, 0, 0);
    }
  }
  // A user who is not root keeps what is ambient, and nothing else.
  const kept = permitted & keep;
  capset(kept, kept);
  for (const bit of bits(kept)) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0);
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

function startAgain(): never {
  const { execPath, execArgv, argv, env } = process;
  // It returns only by an error, which ends the process.
  return process.execve!(execPath, [execPath, ...execArgv, ...argv.slice(1)], env);
}

function bits(mask: bigint): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

/** The system calls, by libc. */
async function openCalls(): Promise<Calls> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const prctl = libc.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
  const capset = libc.func('int capset(const void *header, const void *data)');
  const checked = (what: string, result: number) => {
    if (result !== 0) {
      throw new Error(`capabilities cannot be laid down: ${what}: errno ${koffi.errno()}`);
    }
  };
  return {
    prctl: (option, ...rest) => checked(`prctl ${option}`, prctl(option, ...rest)),
    capset: (permitted, inheritable) => {
      const header = new Uint32Array([VERSION, 0]);
      checked('capset', capset(header, capabilityData(permitted, inheritable)));
    },
  };
}

/** struct __user_cap_data_struct[2]: effective, permitted, inheritable; the low halves first. */
function capabilityData(permitted: bigint, inheritable: bigint): Uint32Array {
  const half = (shift: bigint) =>
    [permitted, permitted, inheritable].map((set) => Number((set >> shift) & 0xffffffffn));
  return new Uint32Array([...half(0n), ...half(32n)]);
}
