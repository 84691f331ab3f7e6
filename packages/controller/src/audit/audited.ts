/** Refusals that have their entry in the audit log already: each gets one. */

const audited = new WeakSet<object>();

/** The entry of this refusal is written. */
export function markAudited(error: unknown): void {
  if (typeof error === 'object' && error !== null) {
    audited.add(error);
  }
}

export function isAudited(error: unknown): boolean {
  return typeof error === 'object' && error !== null && audited.has(error);
}
