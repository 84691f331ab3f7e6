/**
 * Parts of programs that the agents of one process share. Each real agent has its own; here equal
 * ones are one object, so that 1,000 nodes fit into the memory of one machine.
 */
import type { PolicyPart } from '@mirrorplane/contract';
import { partDigest } from '@mirrorplane/contract/program-digest';

export class SharedParts {
  readonly #parts = new Map<string, WeakRef<PolicyPart>>();
  readonly #ended = new FinalizationRegistry<string>((digest) => {
    if (this.#parts.get(digest)?.deref() === undefined) {
      this.#parts.delete(digest);
    }
  });

  /** The part with this content that came first, as long as an agent has it. */
  readonly share = (part: PolicyPart): PolicyPart => {
    const digest = partDigest(part);
    const known = this.#parts.get(digest)?.deref();
    if (known === undefined) {
      this.#parts.set(digest, new WeakRef(part));
      this.#ended.register(part, digest);
    }
    return known ?? part;
  };
}
