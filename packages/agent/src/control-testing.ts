/**
 * The control logic of the agent for simulations, without what needs a kernel. Nothing that is
 * shipped imports this.
 */
export { Agent } from './agent.ts';
export type { AgentParts } from './agent-parts.ts';
export { KnownControllers } from './controller-link/controllers.ts';
export { EventRecorder } from './controller-link/event-outbox.ts';
export { SyncClient } from './controller-link/sync.ts';
export type { ApplyResult, DatapathState, TerminationEntry } from './datapath/datapath.ts';
export { FakeDatapath } from './datapath/fake.ts';
export { CountedNames } from './datapath/kernel/counted-names.ts';
export { findUnderlay } from './discovery/underlay.ts';
export { ProgramFile } from './host/program-file.ts';
export type { Link } from './netlink/link.ts';
