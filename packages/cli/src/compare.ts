/** What a change comes to. */
import { isDeepStrictEqual } from 'node:util';
import type { Document } from './documents.ts';
import { type Kind, specOf } from './resources.ts';

/**
 * Compares a resource before and after a change, or a dry run of one, field by field: what the controller adds, such as
 * the time of the last change, may differ. An interface that agents observe exists before anybody declares it.
 */
export function compare(kind: Kind, before: object | undefined, after: object): 'created' | 'changed' | 'unchanged' {
  if (!before || (kind === 'Interface' && (before as { declared?: boolean }).declared === false)) {
    return 'created';
  }
  return isDeepStrictEqual(specOf(kind, before), specOf(kind, after)) ? 'unchanged' : 'changed';
}

/** Whether a resource is already as a document says. */
export function agrees(document: Document, resource: object): boolean {
  return Object.entries(document.spec).every(([field, value]) =>
    isDeepStrictEqual(value, (resource as Record<string, unknown>)[field]),
  );
}
