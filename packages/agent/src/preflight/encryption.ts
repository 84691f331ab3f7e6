/** Checks whether copies to and from other nodes can be encrypted. */
import { reason } from '../log.ts';
import { Wireguard } from '../netlink/wireguard.ts';
import { type Check, ok } from './check.ts';

/** Asks the kernel for WireGuard, which loads the module. Returns why there is none; undefined: there is. */
export function readWireguard(): string | undefined {
  const wireguard = new Wireguard();
  try {
    wireguard.require();
    return undefined;
  } catch (error) {
    return reason(error);
  } finally {
    wireguard.close();
  }
}

/**
 * Never a warning: only a pool that demands encryption needs it, and the policy says then what is
 * missing.
 * @param lacking why the kernel has no WireGuard; undefined: it has
 */
export function judgeEncryption(lacking: string | undefined): Check {
  return ok(
    'encryption',
    lacking === undefined
      ? 'the kernel has WireGuard: a pool can demand encrypted copies'
      : `copies to other nodes cannot be encrypted: ${lacking}. If a pool demands it, load the kernel module ("modprobe wireguard"), or boot a kernel with CONFIG_WIREGUARD`,
  );
}
