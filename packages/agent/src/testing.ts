/** Internal parts of the agent for tests and measurements. Nothing that is shipped imports this. */
export { Agent } from './agent.ts';
export { KnownControllers } from './controller-link/controllers.ts';
export { certificateRequest } from './controller-link/csr.ts';
export { enroll, loadCredentials, type StoredCredentials } from './controller-link/enroll.ts';
export { EventRecorder } from './controller-link/event-outbox.ts';
export { stateOf } from './controller-link/renewal.ts';
export { SyncClient } from './controller-link/sync.ts';
export { CurrentProgram } from './current-program.ts';
export type {
  ApplyResult,
  DatapathState,
  DeliveryEntry,
  HookCapture,
  LocalDeliveryEntry,
} from './datapath/datapath.ts';
export { FakeDatapath } from './datapath/fake.ts';
export { HEAR_OBJECT_PATH, OBJECT_PATH } from './datapath/kernel/brought.ts';
export { CountedNames, SETTLE_MS } from './datapath/kernel/counted-names.ts';
export { FUNCTION_BYTES, HEAR_LAYOUT, HEAR_MAPS, HEAR_PROGRAM, JOIN } from './datapath/kernel/hear-layout.ts';
export { createKernelDatapath } from './datapath/kernel/index.ts';
export { MAPS } from './datapath/kernel/install.ts';
export { DELIVERY_KIND, HOOK, LAYOUT } from './datapath/kernel/layout.ts';
export { attachTcx, BpfMap, closeFd, detachLink, getPinned, loadObject } from './datapath/kernel/libbpf.ts';
export { PROGRAMS, type ProgramName } from './datapath/kernel/links.ts';
export { FATE, PLACE, TERM } from './datapath/kernel/look-layout.ts';
export type { LinkSource } from './discovery/links.ts';
export type { NextHop } from './discovery/neighbours.ts';
export { ProgramFile } from './host/program-file.ts';
export type { Link } from './netlink/link.ts';
export { RtClient } from './netlink/rt-client.ts';
export { RtSync } from './netlink/rt-sync.ts';
export { attribute, NLM_F_CREATE, NLM_F_EXCL, RTM, u32 } from './netlink/rtnetlink.ts';
export type { AllStatistics } from './netlink/statistics.ts';
export { ProgramLink } from './program-link.ts';
export type { ControllerLink } from './reporter.ts';
export { type AgentOptions, startAgent } from './start.ts';
export { Throttle } from './throttle/throttle.ts';
export { TrafficReader } from './traffic-reader.ts';
