/** Compares resources before and after a change. */
import { isDeepStrictEqual } from 'node:util';
import type { Document } from './documents.ts';
import { type Kind, specOf } from './resources.ts';

/**
 * Compares the written fields of a resource before and after a change or its dry run. Fields that
 * the controller adds, such as the time of the last change, are ignored. An observed interface
 * exists before an operator declares it.
 */
export function compare(kind: Kind, before: object | undefined, after: object): 'created' | 'changed' | 'unchanged' {
  if (!before || (kind === 'Interface' && (before as { declared?: boolean }).declared === false)) {
    return 'created';
  }
  return isDeepStrictEqual(specOf(kind, before), specOf(kind, after)) ? 'unchanged' : 'changed';
}

/** Whether a resource already equals its document. */
export function agrees(document: Document, resource: object): boolean {
  return Object.entries(document.spec).every(([field, value]) =>
    isDeepStrictEqual(value, (resource as Record<string, unknown>)[field]),
  );
}
