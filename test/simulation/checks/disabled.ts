/** A policy that is said to be disabled is copied for by no node of the cluster. */
import type { RunningController } from '../world/controller-process.ts';
import type { World } from '../world/world.ts';
import { Violation } from './violation.ts';

/**
 * To be called as a step of the controller. It cannot know of a host that has lost a program which
 * it has confirmed, as docs/simulation.md tells.
 */
export function checkDisabled({ hosts }: World, controller: RunningController): void {
  const disabled = new Set(controller.statuses().flatMap(({ state, uid }) => (state === 'disabled' ? [uid] : [])));
  if (disabled.size === 0) {
    return;
  }
  const { view } = controller.services;
  for (const host of hosts) {
    const { name, powered, kernel, device, membership } = host;
    const record = view.get('nodes', name)?.value;
    // Of a host that was revoked, or deleted and declared dead, nobody says that it has stopped.
    const isMember = record !== undefined && !record.revoked && record.uid === membership?.uid;
    const copies = kernel.state.captures.filter(({ ifindex, policy }) => device(ifindex) && disabled.has(policy));
    if (powered && isMember && !host.mayBeBack && copies.length > 0) {
      throw new Violation(`${copies[0]!.id} is in force on ${name}, and its policy is said to be disabled`);
    }
  }
}
