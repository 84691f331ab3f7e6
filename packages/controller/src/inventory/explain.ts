/** Explains why an interface id of a policy has no device, from other reports of agents. */
import type { Explanation } from '@mirrorplane/planner';
import type { LiveNodes } from '../reports/live-nodes.ts';

/**
 * The explanation for an id: its NIC has no device that can be mirrored, or it is the name of a
 * device.
 */
export function explainId(id: string, live: LiveNodes): Explanation | undefined {
  for (const node of live.all().values()) {
    const problem = node.connected
      ? node.problems.find(({ code, interface: about }) => code === 'DEVICE_UNSUPPORTED' && about === id)
      : undefined;
    if (problem) {
      return {
        message: `"${id}" cannot be mirrored: node "${node.name}" reports: ${problem.message}`,
        unsupported: true,
      };
    }
  }
  for (const node of live.all().values()) {
    const device = node.devices.find(({ name, altNames }) => name === id || altNames?.includes(id));
    if (!device) {
      continue;
    }
    const what = `"${id}" is a device of node "${node.name}"`;
    const { guest, edge } = device.notMirrorable ?? {};
    const notAtAll = guest !== undefined && edge !== undefined;
    if (device.identity && !notAtAll) {
      return { message: `${what}: use the interface "${device.identity.id}" instead` };
    }
    if (device.identityError !== undefined) {
      return { message: `${what}, whose identity cannot be read: ${device.identityError}` };
    }
    if (notAtAll) {
      return { message: `${what} and cannot be mirrored: it ${guest}`, unsupported: true };
    }
    const remedy = guest === undefined ? 'give it an alias' : 'declare it with "mirrorplane interface"';
    return { message: `${what} without identity: ${remedy}, and use the id that it gets` };
  }
  return undefined;
}
