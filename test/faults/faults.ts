/** The faults. Each is taken away again, whatever happened meanwhile. */
import { AGENT_FAULTS } from './faults/agents.ts';
import { CONTROLLER_FAULTS } from './faults/controllers.ts';
import { ETCD_FAULTS } from './faults/etcd.ts';
import type { Fault } from './faults/fault.ts';
import { WAY_FAULTS } from './faults/ways.ts';

export type { Fault } from './faults/fault.ts';

export const FAULTS: readonly Fault[] = [...ETCD_FAULTS, ...WAY_FAULTS, ...CONTROLLER_FAULTS, ...AGENT_FAULTS];

/** @throws Error if there is none of that name */
export function faultOf(name: string): Fault {
  const found = FAULTS.find((one) => one.name === name);
  if (found === undefined) {
    throw new Error(`there is no fault "${name}"`);
  }
  return found;
}
