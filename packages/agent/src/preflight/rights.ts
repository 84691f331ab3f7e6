/** Checks for root and for the capabilities that BPF needs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { type Check, failed, ok } from './check.ts';

/** Bits of include/uapi/linux/capability.h. */
const CAPABILITY = {
  CAP_NET_ADMIN: 12,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;
type Capability = keyof typeof CAPABILITY;

/** PROC_USER_INIT_INO of include/linux/proc_ns.h: the user namespace of the host. */
const HOST_USER_NAMESPACE = 'user:[4026531837]';

export interface RightsFacts {
  /** Effective user id. */
  uid: number;
  /** Effective set of capabilities. */
  effective: bigint;
  /** The process is in the user namespace of the host. */
  hostUsers: boolean;
}

/**
 * @param status content of /proc/self/status
 * @param userNamespace target of the link /proc/self/ns/user
 */
export function parseRights(status: string, userNamespace: string): RightsFacts {
  const [, uid] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  const [, effective] = /^CapEff:\t([0-9a-f]+)/m.exec(status) ?? [];
  return {
    uid: Number(uid),
    effective: BigInt(`0x${effective ?? '0'}`),
    hostUsers: userNamespace === HOST_USER_NAMESPACE,
  };
}

export function readRights(): RightsFacts {
  return parseRights(readFileSync('/proc/self/status', 'utf8'), readlinkSync('/proc/self/ns/user'));
}

export function hasCapability({ effective }: RightsFacts, capability: Capability): boolean {
  return ((effective >> BigInt(CAPABILITY[capability])) & 1n) === 1n;
}

export function judgeRoot({ uid }: RightsFacts): Check {
  if (uid === 0) {
    return ok('root', 'runs as root');
  }
  return failed('root', `runs as user ${uid}`, 'run the agent as root: it attaches programs to devices of the host');
}

/**
 * Needed capabilities. One of each row is enough (bpf_capable and perfmon_capable of
 * include/linux/capability.h).
 */
const NEEDED: readonly (readonly [Capability, ...Capability[]])[] = [
  ['CAP_NET_ADMIN'],
  ['CAP_BPF', 'CAP_SYS_ADMIN'],
  ['CAP_PERFMON', 'CAP_SYS_ADMIN'],
];

export function judgeCapabilities(facts: RightsFacts): Check {
  if (!facts.hostUsers) {
    return failed(
      'capabilities',
      'this process is in its own user namespace (a rootless container?), where no capability counts for BPF',
      'run the agent on the host itself, or in a container that shares the user namespace of the host',
    );
  }
  const missing = NEEDED.filter((row) => !row.some((capability) => hasCapability(facts, capability)));
  if (missing.length === 0) {
    return ok('capabilities', NEEDED.map(([first]) => first).join(', '));
  }
  const names = missing.map(([first]) => first).join(', ');
  return failed(
    'capabilities',
    `without ${names}`,
    `give the process ${names}: CapabilityBoundingSet= in a systemd unit, --cap-add for a container`,
  );
}

/** @throws Error if this process is not root */
export function requireRoot(): void {
  const { uid } = readRights();
  if (uid !== 0) {
    throw new Error(`this process runs as user ${uid}: run it as root`);
  }
}
