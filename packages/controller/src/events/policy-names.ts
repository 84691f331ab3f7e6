/** Names of policies, including deleted ones, because agents report the end of a capture later. */
import type { View } from '../store/view.ts';

/** The most deleted policies with a remembered name. */
const MAX_FORMER = 1000;

/** Names of policies by uid, including policies that were deleted during this run. */
export class PolicyNames {
  readonly #names = new Map<string, string>();

  /** Adds the names of the current view. */
  learn(view: View): void {
    const policies = view.all('policies');
    for (const { value } of policies.values()) {
      this.#names.set(value.uid, value.name);
    }
    for (const uid of this.#names.keys()) {
      if (this.#names.size <= policies.size + MAX_FORMER) {
        return;
      }
      const name = this.#names.get(uid)!;
      if (policies.get(name)?.value.uid !== uid) {
        this.#names.delete(uid);
      }
    }
  }

  get(uid: string): string | undefined {
    return this.#names.get(uid);
  }
}
