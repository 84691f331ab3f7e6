/** The deliveries of a node while the destination of a policy changes its node. Pure. */
import type { HandoverDelivery, NodeProgram } from '@mirrorplane/contract';
import type { LocalDeliveryEntry } from '../datapath/datapath.ts';
import type { NodeDevice } from '../discovery/devices.ts';

/**
 * The delivery that replaces one to a migrating destination. It depends on where the guest is seen.
 */
export function handoverDeliveries(
  program: NodeProgram,
  byInterface: ReadonlyMap<string, NodeDevice>,
): ReadonlyMap<string, string> {
  const left = new Set(program.standby.filter(({ role }) => role === 'origin').map((item) => item.interface));
  return new Map(
    program.deliveries.flatMap(({ id, duringHandover: other }) => {
      if (other === undefined) {
        return [];
      }
      const device = byInterface.get(other.interface);
      const guest = device === undefined ? 'absent' : device.guest;
      // The guest has stopped here and does not run there yet, so copies are held (`handoverOf`).
      // QEMU may throw away packets that it finds in a tap before its guest runs.
      const between = device?.linkType === 'tun' && guest === 'absent' && !left.has(other.interface);
      if (between) {
        return [];
      }
      return guest === 'absent' ? [[id, other.delivery] as const] : [];
    }),
  );
}

/**
 * The handover of a destination that is about to leave this node, or has left. Only for a tap does
 * the kernel report the packets that its guest reads.
 */
export function handoverOf(
  { deliveries }: NodeProgram,
  during: HandoverDelivery | undefined,
  byInterface: ReadonlyMap<string, NodeDevice>,
  released: boolean,
): Pick<LocalDeliveryEntry, 'handover'> {
  if (during === undefined) {
    return {};
  }
  const device = byInterface.get(during.interface);
  const relay = deliveries.find(({ id }) => id === during.delivery);
  if (relay?.kind !== 'erspan' || (device !== undefined && device.linkType !== 'tun')) {
    return {};
  }
  return { handover: { interface: during.interface, target: relay.node, relay: relay.id, released } };
}
