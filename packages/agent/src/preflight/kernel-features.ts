/**
 * Kernel features that the agent needs. Each feature is probed. Versions are only shown, never
 * compared.
 */
import { type Check, failed, ok, warning } from './check.ts';

/** Needed features, and the Linux version that introduced each. */
export const KERNEL_FEATURES = {
  spinLocks: { name: 'spin locks in maps', since: '5.1' },
  redirectNeighbour: { name: 'bpf_redirect_neigh', since: '5.10' },
  checkMtu: { name: 'bpf_check_mtu', since: '5.12' },
  atomics: { name: 'atomic operations with a result', since: '5.12' },
} as const;
export type KernelFeature = keyof typeof KERNEL_FEATURES;

/** @param missing features that the kernel lacks */
export function judgeKernelFeatures(missing: readonly KernelFeature[], release: string): Check {
  if (missing.length === 0) {
    return ok('kernel-features', `Linux ${release} has everything that the programs need`);
  }
  const names = missing.map((feature) => `${KERNEL_FEATURES[feature].name} (since ${KERNEL_FEATURES[feature].since})`);
  return failed(
    'kernel-features',
    `Linux ${release} has no ${names.join(', no ')}`,
    'boot a newer kernel: the oldest tested version is 6.1',
  );
}

/**
 * @param there /sys/kernel/btf/vmlinux exists; libbpf uses it to adapt a program to the kernel's
 * types
 */
export function judgeBtf(there: boolean): Check {
  if (there) {
    return ok('btf', 'the kernel describes its types');
  }
  return failed(
    'btf',
    'the kernel does not describe its types: there is no /sys/kernel/btf/vmlinux',
    'boot a kernel with CONFIG_DEBUG_INFO_BTF (all large distributions have it), and mount sysfs on /sys',
  );
}

export interface HookFacts {
  /** The operator's choice. */
  choice: 'auto' | 'tcx' | 'clsact';
  /** The kernel has tcx. */
  tcx: boolean;
  /** The kernel's error for a clsact filter in a trial network namespace. Undefined: success. */
  clsact: string | undefined;
}

export function judgeHook({ choice, tcx, clsact }: HookFacts, release: string): Check {
  if (choice !== 'clsact' && tcx) {
    return ok('hook', 'tcx');
  }
  if (choice === 'tcx') {
    return failed('hook', `Linux ${release} has no tcx (it needs 6.6)`, 'use --hook auto, or boot a newer kernel');
  }
  if (clsact === undefined) {
    return ok('hook', choice === 'clsact' ? 'clsact' : 'clsact, because the kernel has no tcx');
  }
  const newer = tcx ? 'use --hook auto' : 'boot Linux 6.6 or newer, which has tcx';
  return failed(
    'hook',
    `no filter can be attached at clsact: ${clsact}`,
    `load the kernel modules ("modprobe -a sch_ingress cls_bpf"), or ${newer}`,
  );
}

/**
 * @param refused the kernel's error for a veth pair in a trial network namespace; undefined:
 * success
 */
export function judgeHelperDevice(refused: string | undefined): Check {
  if (refused === undefined) {
    return ok('helper-device', 'veth pairs can be created');
  }
  return failed(
    'helper-device',
    `no veth pair can be created: ${refused}`,
    'load the kernel module ("modprobe veth"), or boot a kernel with CONFIG_VETH',
  );
}

/**
 * @param refused the kernel's error for the queue of held copies in that namespace; undefined:
 * success
 */
export function judgeHoldQueue(refused: string | undefined): Check {
  if (refused === undefined) {
    return ok('hold-queue', 'the queue for held copies can be created');
  }
  return warning(
    'hold-queue',
    `no queue for held copies can be created (${refused}): a destination that migrates may miss some copies`,
    'load the kernel module ("modprobe sch_tbf"), or boot a kernel with CONFIG_NET_SCH_TBF',
  );
}
