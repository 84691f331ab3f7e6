/** Checks what this process may do with BPF. */
import { readFileSync } from 'node:fs';
import { type Check, failed, ok, warning } from './check.ts';
import { hasCapability, type RightsFacts } from './rights.ts';

/**
 * @param refused errno of loading the smallest possible program, for example EPERM; undefined: it
 * was loaded
 */
export function judgeBpf(refused: string | undefined): Check {
  switch (refused) {
    case undefined:
      return ok('bpf', 'the kernel loads programs for traffic control');
    case 'ENOSYS':
      return failed('bpf', 'the kernel has no bpf system call', 'boot a kernel with CONFIG_BPF_SYSCALL');
    case 'EINVAL':
      return failed('bpf', 'the kernel has no programs for traffic control', 'boot a kernel with CONFIG_NET_CLS_BPF');
    case 'EPERM':
      return failed(
        'bpf',
        'the kernel refuses every program (EPERM), although the capabilities are there',
        'look for a seccomp profile, an SELinux or AppArmor rule, or a kernel lockdown that forbids bpf(2), and allow bpf(2)',
      );
    default:
      return failed('bpf', `the kernel refuses the smallest program: ${refused}`, 'read the kernel log: "dmesg"');
  }
}

/**
 * @param text content of /sys/kernel/security/lockdown; undefined: it does not exist. Integrity
 * mode stops BPF programs from writing into user memory. Confidentiality mode also stops reads of
 * kernel memory by helpers (security/security.c). Our programs do neither, but kernels of some
 * distributions forbid more.
 */
export function judgeLockdown(text: string | undefined): Check {
  const mode = /\[(\w+)\]/.exec(text ?? '')?.[1] ?? 'none';
  if (mode === 'none') {
    return ok('lockdown', 'the kernel shows no lockdown');
  }
  if (mode === 'integrity') {
    return ok('lockdown', 'integrity mode, in which the agent works');
  }
  const found = `the kernel is locked down in ${mode} mode, and may refuse programs`;
  return warning('lockdown', found, 'if data-path fails, boot with lockdown=integrity');
}

/** Bytes that are enough if the kernel counts BPF memory against RLIMIT_MEMLOCK. */
const MEMLOCK_NEEDED = 256 * 2 ** 20;

export interface MemlockFacts {
  /** Hard limit in bytes. Undefined: no limit. */
  limit: number | undefined;
  /** CAP_SYS_RESOURCE: the agent can raise the limit. */
  canRaise: boolean;
}

export function readMemlock(rights: RightsFacts): MemlockFacts {
  const limit = parseMemlock(readOptional('/proc/self/limits') ?? '');
  return { limit, canRaise: hasCapability(rights, 'CAP_SYS_RESOURCE') };
}

/**
 * @param byGroup the kernel counts BPF memory against the control group (since 5.11), and not
 *   against RLIMIT_MEMLOCK
 */
export function judgeMemlock(byGroup: boolean, { limit, canRaise }: MemlockFacts): Check {
  if (byGroup) {
    return ok('memlock', 'memory of programs and maps counts against the control group');
  }
  if (limit === undefined || limit >= MEMLOCK_NEEDED) {
    return ok('memlock', 'enough memory may be locked');
  }
  const found = `${Math.floor(limit / 2 ** 10)} KiB of memory may be locked`;
  if (canRaise) {
    return ok('memlock', `${found}, and the agent may raise the limit`);
  }
  return warning(
    'memlock',
    `${found}, and programs and maps count against this limit`,
    'set LimitMEMLOCK=infinity in the systemd unit, or run "ulimit -l unlimited"',
  );
}

/** The hard limit of locked memory in bytes. @param limits content of /proc/self/limits */
export function parseMemlock(limits: string): number | undefined {
  const [, hard] = /^Max locked memory +\S+ +(\S+)/m.exec(limits) ?? [];
  return hard === undefined || hard === 'unlimited' ? undefined : Number(hard);
}

/** @param compiled the kernel has compiled a program to machine code */
export function judgeJit(compiled: boolean): Check {
  if (compiled) {
    return ok('jit', 'programs are compiled to machine code');
  }
  return warning(
    'jit',
    'programs are interpreted: each packet costs several times as much',
    'run "sysctl -w net.core.bpf_jit_enable=1" on the host, and keep it in /etc/sysctl.d',
  );
}

/** The content of a small file of the kernel. Undefined: it does not exist, or cannot be read. */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
