/** The controller, for callers that start it within another process, and the options of its API. */
export { type ApiOptions, addApiOptions, controllerOptionsOf } from './api-options.ts';
export { type AuditLogOptions, addAuditOptions, auditOptionsOf } from './audit-options.ts';
export { type Clustered, type ClusteredOptions, startClustered } from './clustered.ts';
export { type Controller, type ControllerOptions, startController } from './controller.ts';
export { parseListen } from './listen.ts';
