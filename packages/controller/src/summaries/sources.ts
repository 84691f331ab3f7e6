/** The sources of one policy, one by one. */
import { MAX_SUMMARY_ITEMS, type PolicySource } from '@mirrorplane/contract';
import { sourceRates } from '@mirrorplane/planner';
import { observationOf, policyStatuses, type StatusParts } from '../planning/policy-status.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';

/** The sources of a policy in its order, with what nodes report of each. */
export function policySources(parts: StatusParts, policy: Stored<PolicyRecord>): PolicySource[] {
  const observation = observationOf(parts);
  const [status] = policyStatuses(parts, policy, observation);
  const rates = sourceRates(policy.value.uid, observation);
  const reasons = Map.groupBy(status!.reasons, (reason) => reason.interface);
  return status!.sources.map(({ interface: id, state, devices, inbound, outbound }) => {
    const device = devices.at(-1);
    const record = parts.view.get('interfaces', id)?.value;
    return {
      id,
      name: record?.name ?? '',
      ...(record && { kind: record.kind }),
      ...(device && { node: device.node, device: device.name }),
      state,
      reasons: (reasons.get(id) ?? []).slice(0, MAX_SUMMARY_ITEMS),
      ...(inbound && { inbound }),
      ...(outbound && { outbound }),
      rate: rates.get(id) ?? null,
    };
  });
}
