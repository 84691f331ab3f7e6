/** A policy that is said to be disabled is copied for by no node of the cluster. */
import type { World } from '../world/world.ts';
import type { ProgramWatch } from './programs.ts';
import { Violation } from './violation.ts';

/**
 * To be called as a step of the controller. A node may copy by a newer program than it has
 * confirmed: the controller does not know of that, which docs/simulation.md tells.
 */
export function checkDisabled({ controller, hosts }: World, programs: ProgramWatch): void {
  const disabled = new Set(controller?.statuses().flatMap(({ state, uid }) => (state === 'disabled' ? [uid] : [])));
  if (!controller || disabled.size === 0) {
    return;
  }
  const { view, live } = controller.services;
  for (const host of hosts) {
    const { name, powered, kernel, device, membership } = host;
    const record = view.get('nodes', name)?.value;
    // Of a host that was revoked, or deleted and declared dead, nobody says that it has stopped.
    const isMember = record !== undefined && !record.revoked && record.uid === membership?.uid;
    const copies = kernel.state.captures.filter(({ ifindex, policy }) => device(ifindex) && disabled.has(policy));
    const isConfirmed = () => programs.newestOf(host) <= (live.get(name)?.appliedRevision ?? -1);
    if (powered && isMember && copies.length > 0 && isConfirmed()) {
      throw new Violation(`${copies[0]!.id} is in force on ${name}, and its policy is said to be disabled`);
    }
  }
}
