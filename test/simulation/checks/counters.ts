/** Totals of the controller against what has really passed. */
import type { RunningController } from '../world/controller-process.ts';
import type { World } from '../world/world.ts';
import { Violation } from './violation.ts';

export class Truth {
  /** Packets by `host capture`. */
  readonly #passed = new Map<string, number>();

  pass(host: string, id: string, packets: number): void {
    const key = `${host} ${id}`;
    this.#passed.set(key, (this.#passed.get(key) ?? 0) + packets);
  }

  /** No total is above what has passed. */
  check({ hosts }: World, controller: RunningController): void {
    for (const { name } of hosts) {
      for (const { policy, source, direction, counts } of controller.services.live.get(name)?.counters.sums()
        ?.captures ?? []) {
        const passed = this.#passed.get(`${name} ${policy}/${source}/${direction}`) ?? 0;
        if (counts.matched.packets > passed) {
          const told = `${counts.matched.packets} packets of ${policy}/${source}/${direction}`;
          throw new Violation(`the controller counts ${told} on ${name}, and ${passed} have passed`);
        }
      }
    }
  }
}
