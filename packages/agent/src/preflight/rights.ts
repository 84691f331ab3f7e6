/** Checks for root or a user with capabilities, and for the capabilities that BPF needs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { type Capability, has, parsePrivileges } from '@mirrorplane/daemon';
import { type Check, failed, ok } from './check.ts';

/**
 * All that the agent keeps when it starts. It makes devices, rules and maps, loads programs, sends
 * and reads frames, and may run before other processes.
 */
export const AGENT_CAPABILITIES = [
  'CAP_BPF',
  'CAP_NET_ADMIN',
  'CAP_PERFMON',
  'CAP_NET_RAW',
  'CAP_SYS_NICE',
] as const satisfies readonly Capability[];

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
  const { uid, effective } = parsePrivileges(status);
  return {
    uid,
    effective,
    hostUsers: userNamespace === HOST_USER_NAMESPACE,
  };
}

export function readRights(): RightsFacts {
  return parseRights(readFileSync('/proc/self/status', 'utf8'), readlinkSync('/proc/self/ns/user'));
}

export function hasCapability({ effective }: RightsFacts, capability: Capability): boolean {
  return has(effective, capability);
}

/** A user who is not root will do, where it has capabilities of its own. */
export function judgeRoot(facts: RightsFacts): Check {
  if (facts.uid === 0) {
    return ok('root', 'runs as root');
  }
  if (hasCapability(facts, 'CAP_NET_ADMIN')) {
    return ok('root', `runs as user ${facts.uid}, with capabilities of its own`);
  }
  const remedy = `run the agent as root, or as a user with ${AGENT_CAPABILITIES.join(', ')}`;
  return failed('root', `runs as user ${facts.uid}, without capabilities`, remedy);
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

/** @throws Error if this process may not change devices of the host */
export function requireRights(): void {
  const facts = readRights();
  if (!hasCapability(facts, 'CAP_NET_ADMIN')) {
    throw new Error(`this process runs as user ${facts.uid}, without CAP_NET_ADMIN: run it as root`);
  }
}
