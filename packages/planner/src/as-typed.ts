/**
 * The rules of a policy that need to know nothing of the cluster: a form checks them while it is
 * filled in.
 */
import type { ErrorCode, PolicySpec, Refusal } from '@mirrorplane/contract';
import { validate } from './validate.ts';

/** Refusals that are the same whatever interfaces and policies there are. */
export const OF_SHAPE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FIELD_INVALID',
  'POLICY_NAME_INVALID',
  'POLICY_NO_SOURCES',
  'POLICY_TOO_MANY_SOURCES',
  'POLICY_SOURCE_REPEATED',
  'POLICY_DESTINATION_IS_SOURCE',
  'POLICY_DIRECTION_INVALID',
  'POLICY_PERCENT_INVALID',
  'POLICY_VLAN_INVALID',
  'POLICY_RATE_INVALID',
]);

const NOTHING_KNOWN = { policies: [], inventory: { domains: [], pools: [], nodes: [], interfaces: [] } };

/** What is refused of a policy whatever the cluster is like. The words are those of `validate`. */
export function refusalsAsTyped(spec: PolicySpec): Refusal[] {
  return validate(spec, NOTHING_KNOWN).refusals.filter(({ code }) => OF_SHAPE.has(code));
}
