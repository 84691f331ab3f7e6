/**
 * Decides which refusals of a document may disappear once other documents of the same file are
 * applied.
 */
import type { ErrorCode, Problem, Refusal } from '@mirrorplane/contract';
import type { Document } from './documents.ts';

/** The place of a document that represents a policy to be deleted. */
export const PRUNED = 'not in the file';

/** Refusals of a policy that depend on its interfaces, on their places, or on other policies. */
const BY_INTERFACE: readonly string[] = [
  'POLICY_SOURCE_KINDS_MIXED',
  'POLICY_PHYSICAL_TO_VIRTUAL',
  'POLICY_VLAN_REQUIRED',
  'POLICY_VLAN_NOT_ALLOWED',
  'POLICY_VLAN_NOT_IN_TRUNK',
] satisfies ErrorCode[];
const BY_POLICY: readonly string[] = ['POLICY_SOURCE_IN_USE', 'POLICY_CYCLE'] satisfies ErrorCode[];

/** Fields of the other kinds that name a resource. */
const REFERENCES = ['domain', 'pool', 'node', 'edge', 'edge.node'];

/**
 * Says why a refused document may be accepted once the others are applied.
 * @param others the documents of the file that are created or changed.
 * @returns a reason for people. Undefined: one of the refusals does not depend on the others
 */
export function settledBy(document: Document, problem: Problem, others: readonly Document[]): string | undefined {
  const rest = others.filter((other) => other !== document);
  let found: Document | undefined;
  if (document.kind === 'Policy') {
    if (problem.errors.length === 0) {
      return undefined;
    }
    for (const refusal of problem.errors) {
      found = settlesPolicy(document, refusal, rest);
      if (!found) {
        return undefined;
      }
    }
  } else {
    if (problem.errors.some((refusal) => !REFERENCES.includes(refusal.field))) {
      return undefined;
    }
    found = rest.find((other) => isReferred(document, other));
  }
  if (found?.where === PRUNED) {
    return `it needs the deletion of ${found.kind} ${found.name}`;
  }
  return found && `it needs ${found.kind} ${found.name} of the same file`;
}

/**
 * Finds sources that two policies of the file have. Each policy alone would pass its check, but
 * they cannot both be applied.
 */
export function repeatedSources(documents: readonly Document[]): { document: Document; refusals: Refusal[] }[] {
  const owners = new Map<unknown, Document>();
  const found: { document: Document; refusals: Refusal[] }[] = [];
  for (const document of documents) {
    if (document.kind !== 'Policy') {
      continue;
    }
    const refusals: Refusal[] = [];
    for (const [at, source] of list(document.spec.sources).entries()) {
      const owner = owners.get(source) ?? document;
      owners.set(source, owner);
      if (owner === document) {
        continue;
      }
      const message = `"${String(source)}" is a source of policy "${owner.name}" (${owner.where}); an interface is a source of one policy only`;
      refusals.push({ code: 'POLICY_SOURCE_IN_USE', field: `sources[${at}]`, message });
    }
    if (refusals.length > 0) {
      found.push({ document, refusals });
    }
  }
  return found;
}

function settlesPolicy(
  document: Document,
  refusal: Problem['errors'][number],
  others: readonly Document[],
): Document | undefined {
  const { sources, destination } = document.spec;
  const find = (kind: Document['kind'], names: readonly unknown[]) =>
    others.find((other) => other.kind === kind && names.includes(other.name));
  switch (refusal.code) {
    case 'POLICY_SOURCE_NOT_FOUND': {
      const at = /^sources\[(\d+)\]$/.exec(refusal.field)?.[1];
      return find('Interface', at === undefined ? list(sources) : [list(sources)[Number(at)]]);
    }
    case 'POLICY_DESTINATION_NOT_FOUND':
      return find('Interface', [destination]);
    case 'POLICY_CROSS_DOMAIN':
      return (
        find('Interface', [destination, ...list(sources)]) ??
        others.find((other) => other.kind !== 'Policy' && other.kind !== 'Interface')
      );
  }
  if (BY_INTERFACE.includes(refusal.code)) {
    return find('Interface', [destination, ...list(sources)]);
  }
  return BY_POLICY.includes(refusal.code) ? others.find((other) => other.kind === 'Policy') : undefined;
}

function isReferred(document: Document, other: Document): boolean {
  const { spec } = document;
  const edge = spec.edge as { node?: unknown } | undefined;
  switch (other.kind) {
    case 'Domain':
      return document.kind === 'Pool' && spec.domain === other.name;
    case 'Pool':
      return spec.pool === other.name;
    case 'Node':
      return edge?.node === other.name;
    default:
      return false;
  }
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
