/** How policies are called: also earlier ones, because agents report an end later. */
import type { View } from '../store/view.ts';

/** How many policies that were deleted are remembered by name. */
const MAX_FORMER = 1000;

/** Names of policies by uid, also of those that were deleted while this controller ran. */
export class PolicyNames {
  readonly #names = new Map<string, string>();

  /** Takes over what the view has now. */
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
