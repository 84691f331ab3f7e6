/** A cluster on one machine, made of network namespaces, for tests, measurements and the demo. */
export type { ApiResponse } from './api.ts';
export type { Capture, CaptureOptions, CaptureResult, CaptureStatistics } from './capture.ts';
export { createLab, type LabOptions } from './create.ts';
export { defaultTopology, type TopologyOptions } from './default-topology.ts';
export { downLab } from './down.ts';
export { Lab, openLab } from './lab.ts';
export type { MigrateOptions, MigrationTimes } from './migrate.ts';
export { CommandError, type RunOptions, type RunResult } from './netns.ts';
export { DEFAULT_RUN_ROOT, LabError, type LabState, labNames } from './state.ts';
export * from './topology.ts';
