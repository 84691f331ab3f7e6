/**
 * The control logic of the controller for simulations, without ports, people and logs. Nothing that
 * is shipped imports this.
 */
export { CERTIFICATE_URN, NODE_URN } from './auth/authority.ts';
export { cutOff, enrolled } from './auth/node-certificates.ts';
export { Leadership } from './cluster/leadership.ts';
export { LINK_PATH } from './cluster/link.ts';
export { type Clustered, startClustered } from './clustered.ts';
export type { Controller, ControllerOptions } from './controller.ts';
export { domainRoutes } from './http/domains.ts';
export { interfaceRoutes } from './http/interfaces.ts';
export { judgeOf } from './http/judges.ts';
export { nodeRevokeRoutes } from './http/node-revoke.ts';
export { nodeRoutes } from './http/nodes.ts';
export { policyRoutes } from './http/policies.ts';
export { poolRoutes } from './http/pools.ts';
export type { Call, Route } from './http/route.ts';
export { answerWhileLeading } from './http/sure-answers.ts';
export { CurrentInventory } from './inventory/current-inventory.ts';
export { renderMetrics } from './metrics/render.ts';
export { FRESH_MS, KeptStatuses } from './planning/kept-statuses.ts';
export { NodeParts } from './planning/node-parts.ts';
export { Planning } from './planning/planning.ts';
export { policyStatuses } from './planning/policy-status.ts';
export { openNodes } from './planning/stored-nodes.ts';
export { ProblemError } from './problems/problems.ts';
export type { CounterPlace } from './reports/counter-places.ts';
export { counterFolder } from './reports/counter-places.ts';
export { GRACE_MS } from './reports/live-nodes.ts';
export { SavedCounters } from './reports/saved-counters.ts';
export type { Services } from './services.ts';
export { SharedWriter } from './shared/writer.ts';
export { Decisions } from './store/decisions.ts';
export { EtcdError } from './store/etcd/errors.ts';
export { LEADER_KEY, SURE_MS } from './store/etcd/hold.ts';
export type { Receiver as EtcdReceiver, Running as EtcdRunning } from './store/etcd/member.ts';
export { Fields, message } from './store/etcd/wire.ts';
export { openEtcdStore } from './store/etcd.ts';
export { allEntries } from './store/shared-space.ts';
export * from './store/store.ts';
export { keyOf, View } from './store/view.ts';
export { AgentSessions } from './sync/agent-sessions.ts';
export { registeredNode } from './sync/identity.ts';
