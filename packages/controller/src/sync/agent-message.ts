/** Reads a message of an agent. */
import { AgentMessage, AnyHello, SYNC_PROTOCOL, shapeProblem } from '@mirrorplane/contract';
import { fieldPath } from '../problems/problems.ts';

/**
 * A message, the version where it is a hello of another version of the protocol, or why it is
 * neither.
 */
export function readMessage(text: string): AgentMessage | { otherProtocol: number } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'a message must be JSON' };
  }
  const problem = shapeProblem(value);
  if (problem !== undefined) {
    return { problem: `not a message: ${problem}` };
  }
  const hello = isHello(value) ? AnyHello.safeParse(value) : undefined;
  if (hello?.success && hello.data.protocol !== SYNC_PROTOCOL) {
    return { otherProtocol: hello.data.protocol };
  }
  const result = AgentMessage.safeParse(value);
  if (result.success) {
    return result.data;
  }
  const issues = result.error.issues.slice(0, 3).map(({ path, message }) => `${fieldPath(path)}: ${message}`);
  return { problem: `not a message: ${issues.join('; ')}` };
}

function isHello(value: unknown): boolean {
  return (value as { type?: unknown } | null)?.type === 'hello';
}
