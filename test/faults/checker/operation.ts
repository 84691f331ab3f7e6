/** What clients have asked of one resource, and what came back: the input of the check. */

/** Fields of a resource that operations write. */
export type Value = Readonly<Record<string, string | number | boolean>>;

/** What was asked for. `match`: only if the resource has this revision. */
export type Request =
  | { kind: 'read' }
  | { kind: 'create'; value: Value }
  | { kind: 'put'; value: Value; match?: number | undefined }
  | { kind: 'patch'; change: Value; match?: number | undefined }
  | { kind: 'delete'; match?: number | undefined };

/**
 * What came back.
 * - `found`: a read has found it. `written`: it is so now, with this revision.
 * - `deleted`: it is gone. `absent`: there is none. `exists`: there is one already.
 * - `mismatch`: it has another revision than the one that was asked for, or is absent.
 * - `unknown`: whether something has changed is not known. It may change later, too.
 */
export type Outcome =
  | { kind: 'found' | 'written'; revision: number; value: Value }
  | { kind: 'deleted' | 'absent' | 'exists' | 'mismatch' | 'unknown' };

/** One operation on one resource. */
export interface Operation {
  client: string;
  /** The resource, for example `policies/p1`. */
  key: string;
  /** Milliseconds of a clock that all clients share: when it was asked for. */
  invoked: number;
  /** When the answer was there. Infinity: there was none, so it may still be carried out. */
  returned: number;
  request: Request;
  outcome: Outcome;
}
