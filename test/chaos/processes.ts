/** The processes of a lab's daemons. */
import type { Lab } from '@mirrorplane/lab';

/** The process id of the agent of a node. @throws Error where none runs */
export function agentPid(lab: Pick<Lab, 'state'>, node: string): number {
  const found = lab.state.processes.find(({ name }) => name === `agent-${node}`);
  if (!found) {
    throw new Error(`no agent runs on ${node}`);
  }
  return found.pid;
}
