/** The sources of one policy, one by one. */
import { MAX_SUMMARY_ITEMS, type PolicySource, type PolicyStatus } from '@mirrorplane/contract';
import type { sourceRates } from '@mirrorplane/planner';
import type { declaredEnds } from './display-names.ts';

/** The sources of a policy in its order, with what nodes report of each. */
export function sourcesOf(
  status: PolicyStatus,
  rates: ReturnType<typeof sourceRates>,
  declared: ReturnType<typeof declaredEnds>,
): PolicySource[] {
  const reasons = Map.groupBy(status.reasons, (reason) => reason.interface);
  return status.sources.map(({ interface: id, state, devices, inbound, outbound }) => {
    const device = devices.at(-1);
    const record = declared(id);
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
