/** What the steps of the form have in common. */
import type { Base, Checks } from './checks.ts';
import type { Draft } from './draft.ts';

/** What each step gets. */
export interface StepProps {
  draft: Draft;
  change(part: Partial<Draft>): void;
  checks: Checks;
  base: Base | undefined;
}
