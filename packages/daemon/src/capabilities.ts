/** Capabilities of a process, as the kernel shows them in proc_pid_status(5). */

/** Bits of include/uapi/linux/capability.h, of those that this code names. */
export const CAPABILITIES = {
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof CAPABILITIES;

/** What a process may do beyond the rights of its user. Sets are masks of bits. */
export interface Privileges {
  /** Effective user id. */
  uid: number;
  inheritable: bigint;
  permitted: bigint;
  effective: bigint;
  bounding: bigint;
  ambient: bigint;
  /** No program that it starts gets more rights, whatever its file says. */
  noNewPrivileges: boolean;
}

/** @param status content of /proc/PID/status. What it lacks is 0. */
export function parsePrivileges(status: string): Privileges {
  const [, uid] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  const set = (name: string) => BigInt(`0x${new RegExp(`^${name}:\t([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'}`);
  return {
    uid: Number(uid),
    inheritable: set('CapInh'),
    permitted: set('CapPrm'),
    effective: set('CapEff'),
    bounding: set('CapBnd'),
    ambient: set('CapAmb'),
    noNewPrivileges: /^NoNewPrivs:\t1$/m.test(status),
  };
}

/** The mask of some capabilities. */
export function maskOf(capabilities: readonly Capability[]): bigint {
  return capabilities.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name])), 0n);
}

/** Whether a set has a capability. */
export function has(set: bigint, capability: Capability): boolean {
  return (set & maskOf([capability])) !== 0n;
}

/**
 * Whether a process has more than `keep`, and can lay it down. Without CAP_SETPCAP the bounding set
 * stays as it is. Then it gives nothing to a process that can get no new privileges.
 */
export function hasTooMuch({ permitted, bounding, noNewPrivileges }: Privileges, keep: bigint): boolean {
  const canBound = has(permitted, 'CAP_SETPCAP');
  return !noNewPrivileges || (permitted & ~keep) !== 0n || (canBound && (bounding & ~keep) !== 0n);
}
