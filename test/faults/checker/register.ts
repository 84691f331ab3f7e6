/** How a resource has to behave: a register with revisions, comparison of revisions, and deletion. */
import type { Operation, Value } from './operation.ts';

/** A resource at one moment. */
export interface State {
  /** Undefined: there is none. */
  value: Value | undefined;
  /** Undefined: a write has made it whose answer is missing, and nobody has read it yet. */
  revision: number | undefined;
  /** Every later revision is higher. */
  least: number;
}

/** Before the first operation. */
export const ABSENT: State = { value: undefined, revision: 0, least: 0 };

/**
 * The state after an operation.
 * @returns undefined if the operation cannot have had its outcome in this state; the same object if
 * it changes nothing
 */
export function step(state: State, operation: Operation): State | undefined {
  const { request, outcome } = operation;
  switch (outcome.kind) {
    case 'found':
      return isSame(state.value, outcome.value) ? withRevision(state, outcome.revision) : undefined;
    case 'absent':
      return state.value === undefined ? state : undefined;
    case 'exists':
      return state.value === undefined ? undefined : state;
    case 'mismatch':
      return 'match' in request && !matches(state, request.match) ? state : undefined;
    case 'deleted':
      return state.value !== undefined && request.kind === 'delete' && matches(state, request.match)
        ? { value: undefined, revision: 0, least: state.least }
        : undefined;
    case 'written':
      return written(state, operation, outcome);
    case 'unknown':
      return perhaps(state, operation);
  }
}

/** A state as a text, for a table of states. */
export function textOf({ value, revision, least }: State): string {
  return `${revision}/${least}/${value === undefined ? '' : text(value)}`;
}

function written(state: State, operation: Operation, outcome: { revision: number; value: Value }): State | undefined {
  const value = valueAfter(state, operation);
  if (value === undefined || !isSame(value, outcome.value)) {
    return undefined;
  }
  if (isSame(state.value, value)) {
    // Nothing was to change, so the revision stays.
    return withRevision(state, outcome.revision);
  }
  const { revision } = outcome;
  return revision > state.least ? { value, revision, least: revision } : undefined;
}

/** The state if an operation without an answer is carried out now. Undefined: it would do nothing. */
function perhaps(state: State, operation: Operation): State | undefined {
  const { request } = operation;
  if (request.kind === 'delete') {
    return state.value !== undefined && matches(state, request.match)
      ? { value: undefined, revision: 0, least: state.least }
      : undefined;
  }
  const value = valueAfter(state, operation);
  return value === undefined || isSame(state.value, value)
    ? undefined
    : { value, revision: undefined, least: state.least };
}

/** What a write would make of the resource. Undefined: it would be refused. */
function valueAfter(state: State, { request }: Operation): Value | undefined {
  switch (request.kind) {
    case 'create':
      return state.value === undefined ? request.value : undefined;
    case 'put':
      return matches(state, request.match) ? request.value : undefined;
    case 'patch':
      return state.value !== undefined && matches(state, request.match)
        ? { ...state.value, ...request.change }
        : undefined;
    default:
      return undefined;
  }
}

/**
 * Nobody can know a revision that nobody has read. Who asks for a revision has it from an operation
 * before, which has settled it.
 */
function matches(state: State, match: number | undefined): boolean {
  return match === undefined || (state.value !== undefined && state.revision === match);
}

/** The state, if its revision can be this one. */
function withRevision(state: State, revision: number): State | undefined {
  if (state.revision !== undefined) {
    return state.revision === revision ? state : undefined;
  }
  return revision > state.least ? { ...state, revision, least: revision } : undefined;
}

function isSame(one: Value | undefined, other: Value | undefined): boolean {
  return one === other || (one !== undefined && other !== undefined && text(one) === text(other));
}

function text(value: Value): string {
  return JSON.stringify(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
