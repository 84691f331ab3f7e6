/**
 * Decides which device an interface can have. No schema is used here, so that the CLI can load this
 * file quickly.
 */
import type { Device, InterfaceKind } from './inventory.ts';

/**
 * Why a device cannot belong to an interface of this kind. Undefined: it can. The text continues a
 * sentence that begins with the name of the device.
 */
export function whyNotMirrorable(device: Pick<Device, 'notMirrorable'>, kind: InterfaceKind): string | undefined {
  return kind === 'edge' ? device.notMirrorable?.edge : device.notMirrorable?.guest;
}
