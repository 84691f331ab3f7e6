/** Stands in for the controller as a whole: the parts of it that the simulation runs. */
import type { Controller, ControllerOptions } from '@mirrorplane/controller/testing/control';
import { simulation } from '../core/simulation.ts';

export function startController(options: ControllerOptions): Promise<Controller> {
  return simulation().clusters!.lead(options);
}

export function prepareFolder(): void {}
