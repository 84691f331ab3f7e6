/** The common part of PUT and DELETE for resources with a name. */
import type { Records } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type Stored } from '../store/view.ts';
import { checkPreconditions, found, KINDS, type MutationCall, mutate, type ResourceFolder } from './mutation.ts';
import type { Answer } from './route.ts';

/** The result of a PUT. */
interface Replacement<T> {
  value: T;
  /** True if the stored record is equal. */
  unchanged: boolean;
  /** The resource after the change; `revision` is its own revision. */
  body(revision: number): unknown;
}

/**
 * Creates or changes a resource, or leaves it unchanged.
 * @param resource `require` throws a ProblemError if the sender lacks a right. It comes before
 *   preconditions, which tell of the resource
 * @param judge reads the view, and throws a ProblemError or returns the record
 */
export function putNamed<F extends ResourceFolder>(
  call: MutationCall,
  { folder, name, require }: { folder: F; name: string; require?(stored: Stored<Records[F]> | undefined): void },
  judge: (stored: Stored<Records[F]> | undefined) => Replacement<Records[F]>,
): Promise<Answer> {
  return mutate(call, 'replace', `${folder}/${name}`, () => {
    const stored = call.services.view.get(folder, name);
    require?.(stored);
    checkPreconditions(call.request, stored?.revision);
    const { value, unchanged, body } = judge(stored);
    return {
      ops: unchanged ? [] : [{ type: 'put', key: keyOf(folder, name), value }],
      revision: stored?.revision ?? 0,
      status: stored ? 200 : 201,
      ...(!stored && { location: `/api/v1/${folder}/${encodeURIComponent(name)}` }),
      body,
    };
  });
}

/**
 * Deletes a resource.
 * @param refuse reads the view, and throws a ProblemError if the resource must stay
 * @param more says what else is deleted with it
 */
export function deleteNamed<F extends ResourceFolder>(
  call: MutationCall,
  { folder, name }: { folder: F; name: string },
  refuse: (stored: Stored<Records[F]>) => void = () => {},
  more: () => Operation[] = () => [],
): Promise<Answer> {
  return mutate(call, 'delete', `${folder}/${name}`, () => {
    const stored = found(call.services.view.get(folder, name), KINDS[folder], name);
    checkPreconditions(call.request, stored.revision);
    refuse(stored);
    return { ops: [{ type: 'delete', key: keyOf(folder, name) }, ...more()] };
  });
}
