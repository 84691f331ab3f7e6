/** The rules of a mirror policy as pure functions: no I/O, no clock, no randomness of their own. */
export { OF_SHAPE, refusalsAsTyped } from './as-typed.ts';
export { type Cluster, homeDomain, homePool, type LookUp } from './cluster.ts';
export { addCaptureCounts, innerOf } from './counts.ts';
export type { Explain, Explanation } from './devices.ts';
export { type ForecastParts, forecast, type UplinkNow } from './forecast.ts';
export { ETHERNET, onTheWire } from './frame-sizes.ts';
export { policyType, typeAsAsked } from './kinds.ts';
export { arrived, type PathEnd, pathLosses } from './losses.ts';
export {
  type ArrivalReading,
  type CaptureBefore,
  type CapturesById,
  type CountedRow,
  type CountedRows,
  capturesById,
  countersFrom,
  type GuestReading,
  type NodeReport,
  type Observation,
  type ObservedNode,
  observe,
  observedNode,
  type PolicyCounters,
  type PreviousCounters,
  type PreviousReport,
  refusedLately,
  type SentReading,
  type Unsupported,
  unsupportedOn,
} from './observation.ts';
export { plan } from './plan.ts';
export type { Plan, PolicyPlan, SourcePlan } from './planned.ts';
export { Planner, type PlanOptions } from './planner.ts';
export {
  type InForce,
  idsOf,
  numbered,
  type OwnPart,
  type PathPlan,
  type PlannedProgram,
  type PolicyPart,
  partOf,
  partsOf,
  type SharedList,
  textOf,
} from './programs.ts';
export { involvedNodes } from './reasons.ts';
export { type Chance, MAX_SESSIONS_PER_NODE, SECRET_LIFE_MS, type Sessions } from './sessions.ts';
export { differingIds, forDiffering, foundIn, placeIn, replacedIn, Succession } from './sorted-lists.ts';
export { sourceRates } from './source-rates.ts';
export { type Staged, stage } from './staging.ts';
export { outlineFrom, type PolicyOutline, type SourcesAt, statusFrom } from './status.ts';
export { Computation, TrackedReads, TrackedTable, Tracker } from './tracked.ts';
export { TrackedCluster } from './tracked-cluster.ts';
export { normalise, type ValidationContext, type ValidationResult, validate } from './validate.ts';
