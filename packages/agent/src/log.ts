/** What the parts of the agent need of its log. */
export type { Logger } from '@mirrorplane/daemon';

/** What an unknown thrown value says. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
