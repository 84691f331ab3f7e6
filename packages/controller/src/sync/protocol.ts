/** The message for an agent with another version of the protocol. */
import { SYNC_PROTOCOL } from '@mirrorplane/contract';

/**
 * @returns `message` for operators, and `reason` for the close frame to the agent, at most 123
 * bytes
 */
export function protocolProblem(protocol: number): { message: string; reason: string } {
  const older = protocol < SYNC_PROTOCOL ? 'the agent' : 'the controller';
  return {
    message:
      `its agent speaks version ${protocol} of the protocol and this controller version ${SYNC_PROTOCOL}, ` +
      `so the agent is refused: upgrade ${older}`,
    reason: `this controller speaks protocol ${SYNC_PROTOCOL}, and not ${protocol}: upgrade ${older}`,
  };
}
