/** What a PUT and a DELETE of a resource with a name have in common. */
import type { Records } from '../store/records.ts';
import { keyOf, type Stored } from '../store/view.ts';
import { checkPreconditions, found, KINDS, type MutationCall, mutate, type ResourceFolder } from './mutation.ts';
import type { Answer } from './route.ts';

/** What a PUT comes to. */
interface Replacement<T> {
  value: T;
  /** True where the stored record says the same. */
  unchanged: boolean;
  /** The resource after the change; `revision` is its own revision. */
  body(revision: number): unknown;
}

/**
 * Creates or changes a resource, or leaves it as it was.
 * @param judge looks at the view, throws a ProblemError or says what to write
 */
export function putNamed<F extends ResourceFolder>(
  call: MutationCall,
  { folder, name }: { folder: F; name: string },
  judge: (stored: Stored<Records[F]> | undefined) => Replacement<Records[F]>,
): Promise<Answer> {
  return mutate(call, 'replace', `${folder}/${name}`, () => {
    const stored = call.services.view.get(folder, name);
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
 * @param refuse looks at the view, and throws a ProblemError where the resource has to stay
 */
export function deleteNamed<F extends ResourceFolder>(
  call: MutationCall,
  { folder, name }: { folder: F; name: string },
  refuse: (stored: Stored<Records[F]>) => void = () => {},
): Promise<Answer> {
  return mutate(call, 'delete', `${folder}/${name}`, () => {
    const stored = found(call.services.view.get(folder, name), KINDS[folder], name);
    checkPreconditions(call.request, stored.revision);
    refuse(stored);
    return { ops: [{ type: 'delete', key: keyOf(folder, name) }] };
  });
}
