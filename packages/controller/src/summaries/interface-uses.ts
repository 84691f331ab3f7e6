/** What policies make of interfaces, kept and brought up to date where policies have changed. */
import { isInForce } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';

const NONE: readonly PolicyRecord[] = [];

export class InterfaceUses {
  /** By name. */
  #policies = new Map<string, PolicyRecord>();
  /** By source: the policy that has it. */
  readonly #sources = new Map<string, string>();
  readonly #destinations = new Map<string, readonly PolicyRecord[]>();
  #changes: number | undefined;
  /** VLAN IDs of all policies. It is another set whenever they differ. */
  vlans: ReadonlySet<number> = new Set();

  /**
   * Takes over the policies that are in force now.
   * @returns interfaces that policies name, or have named, which are others since the last call
   */
  update(view: View): ReadonlySet<string> {
    const before = this.#changes;
    const changes = view.changesOf('policies');
    const concerned = new Set<string>();
    if (before === changes) {
      return concerned;
    }
    this.#changes = changes;
    const changed = before === undefined ? undefined : view.changedSince('policies', before);
    for (const name of changed ?? new Set([...this.#policies.keys(), ...view.all('policies').keys()])) {
      const value = view.get('policies', name)?.value;
      this.#take(name, value && isInForce(value) ? value : undefined, concerned);
    }
    const vlans = new Set([...this.#policies.values()].flatMap(({ vlanId }) => vlanId ?? []));
    if (vlans.symmetricDifference(this.vlans).size > 0) {
      this.vlans = vlans;
    }
    return concerned;
  }

  /** The policy that has the interface as a source. */
  policyOf(id: string): string | undefined {
    return this.#sources.get(id);
  }

  /** Policies that end at the interface, by name. The same list until one of them differs. */
  destinationOf(id: string): readonly PolicyRecord[] {
    return this.#destinations.get(id) ?? NONE;
  }

  #take(name: string, value: PolicyRecord | undefined, concerned: Set<string>): void {
    const before = this.#policies.get(name);
    if (before === value) {
      return;
    }
    for (const id of [...(before?.sources ?? []), ...(value?.sources ?? [])]) {
      concerned.add(id);
    }
    for (const id of before?.sources ?? []) {
      if (this.#sources.get(id) === name) {
        this.#sources.delete(id);
      }
    }
    for (const id of value?.sources ?? []) {
      this.#sources.set(id, name);
    }
    for (const id of new Set([before?.destination, value?.destination])) {
      if (id !== undefined) {
        concerned.add(id);
        this.#replace(id, name, value?.destination === id ? value : undefined);
      }
    }
    if (value) {
      this.#policies.set(name, value);
    } else {
      this.#policies.delete(name);
    }
  }

  /** @param value undefined: the policy does not end there any more */
  #replace(id: string, name: string, value: PolicyRecord | undefined): void {
    const others = (this.#destinations.get(id) ?? []).filter((one) => one.name !== name);
    const all = value ? [...others, value].sort((a, b) => (a.name < b.name ? -1 : 1)) : others;
    if (all.length === 0) {
      this.#destinations.delete(id);
    } else {
      this.#destinations.set(id, all);
    }
  }
}
