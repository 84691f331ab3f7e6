/**
 * The kinds of events that a filter offers: those of the API, checked by its types to be all of
 * them.
 */
import type { EventKind } from './event-list.tsx';

/** A table and no list, because the compiler sees when one is missing. */
const KINDS: Record<EventKind, true> = {
  policyCreated: true,
  policyChanged: true,
  policyEnabled: true,
  policyDisabled: true,
  policyDeleted: true,
  policyApprovalRequested: true,
  policyApproved: true,
  policyRejected: true,
  policyEndsSoon: true,
  policyEnded: true,
  policyStateChanged: true,
  captureAttached: true,
  captureDetached: true,
  captureRefused: true,
  repaired: true,
  datapathFailed: true,
  interfaceAppeared: true,
  interfaceGone: true,
  interfaceMigrating: true,
  interfaceMigrated: true,
  migrationMeasured: true,
  interfaceStayed: true,
  interfaceContested: true,
  edgeDeviceChanged: true,
  nodeConnected: true,
  nodeDisconnected: true,
  nodeRejected: true,
  countersRefused: true,
  nodeDeclaredDead: true,
  nodeEnrolledAgain: true,
  nodeRevoked: true,
  authorityRotated: true,
  nodeProblemBegan: true,
  nodeProblemEnded: true,
  requestRefused: true,
  eventsLost: true,
  eventsLeftOut: true,
  lookBegan: true,
  lookEnded: true,
  certificateEnding: true,
  auditProblem: true,
  certificateRefused: true,
  apiNotEncrypted: true,
  controllerStarted: true,
  leaderChanged: true,
  leaderRefused: true,
};

export const EVENT_KINDS = Object.keys(KINDS) as EventKind[];
