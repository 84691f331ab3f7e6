/** Which device an interface can have. Without a schema, so that the command line can load it alone. */
import type { Device, InterfaceKind } from './inventory.ts';

/** Why a device cannot be that of an interface of this kind. Undefined: it can. Follows the name of the device. */
export function whyNotMirrorable(device: Pick<Device, 'notMirrorable'>, kind: InterfaceKind): string | undefined {
  return kind === 'edge' ? device.notMirrorable?.edge : device.notMirrorable?.guest;
}
