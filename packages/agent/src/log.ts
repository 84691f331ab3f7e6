/** The logger type of the agent, and errors as text. */
export type { Logger } from '@mirrorplane/daemon';

/** The message of a thrown value. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
