/** Stands in for the lock of a data directory: who has begun a run there knows that earlier ones are over. */
import { simulation } from '../core/simulation.ts';

export class Runs {
  readonly #earlier: ReadonlySet<string>;

  private constructor(earlier: ReadonlySet<string>) {
    this.#earlier = earlier;
  }

  static async begin(_data: string, id: string): Promise<Runs> {
    const { clusters, scheduler } = simulation();
    const ids = clusters!.runsOf(scheduler.current!.name);
    const runs = new Runs(new Set(ids));
    ids.push(id);
    return runs;
  }

  areOver(id: string | undefined): boolean {
    return id !== undefined && this.#earlier.has(id);
  }

  close(): void {}
}
