/** What agents say of themselves, one JSON object a line. */

/** A policy as a program has it: `percent`, `direction` and the sources, as one text. */
export type PolicyText = string;

export type AgentReport = { node: string } & (
  | {
      /** The agent has started with what it had kept. */
      kind: 'started';
      /** The highest term of a leader that it knows. */
      term: number;
    }
  | { kind: 'connected' }
  | {
      /** A leader has named itself on this connection. */
      kind: 'leader';
      term: number;
    }
  | {
      /** A program was accepted: whole, or as a difference. */
      kind: 'program';
      revision: number;
      /** By uid. */
      policies: Record<string, PolicyText>;
    }
);

/** A policy as it has to be in a program. */
export function policyText(percent: number, direction: string, sources: readonly string[]): PolicyText {
  return `${percent} % ${direction} of ${[...sources].sort().join()}`;
}
