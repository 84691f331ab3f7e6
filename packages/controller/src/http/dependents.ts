/** Checks whether a change of the inventory would break existing policies. */
import type { Policy, Refusal } from '@mirrorplane/contract';
import { validate } from '@mirrorplane/planner';
import { accessSettings } from '../access/settings.ts';
import { mergeInventory, type Records } from '../inventory/inventory.ts';
import { ProblemError } from '../problems/problems.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { policiesOf, policiesUsing } from '../store/policies.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';

/** Throws IN_USE if a valid policy would become invalid. @param affected policies to check */
export function refuseBroken(
  affected: readonly Policy[],
  view: View,
  live: LiveNodes,
  before: Records,
  after: Records,
): void {
  if (affected.length === 0) {
    return;
  }
  const policies = policiesOf(view);
  const [old, next] = [mergeInventory(before, live), mergeInventory(after, live)];
  const errors: Refusal[] = [];
  for (const policy of affected) {
    const known = new Set(validate(policy, { policies, inventory: old }, policy.name).refusals.map(keyOf));
    for (const refusal of validate(policy, { policies, inventory: next }, policy.name).refusals) {
      if (!known.has(keyOf(refusal))) {
        errors.push({
          code: refusal.code,
          field: refusal.field,
          message: `policy "${policy.name}": ${refusal.message}`,
        });
      }
    }
  }
  if (errors.length > 0) {
    throw new ProblemError(
      'IN_USE',
      `the change would break policies that use this resource: ${errors[0]!.message}`,
      errors,
    );
  }
}

/**
 * With the four-eyes rule, consent to a policy is for the devices of its edges too.
 * @throws ProblemError IN_USE if the edge gets another device while a policy uses it
 */
export function refuseMoved(old: InterfaceRecord | undefined, next: InterfaceRecord, view: View): void {
  const device = ({ edge }: InterfaceRecord) => JSON.stringify([edge?.node, edge?.device, edge?.mac]);
  if (old?.edge && device(old) !== device(next) && accessSettings(view).fourEyes) {
    const users = policiesUsing(policiesOf(view), next.id).map(({ name }) => `policy "${name}"`);
    refuseUsed(`the device of interface "${next.id}"`, users);
  }
}

function keyOf({ code, field }: Refusal): string {
  return `${code} ${field}`;
}

/** Throws IN_USE if there are users. @param users for example `policy "ids-all"` */
export function refuseUsed(what: string, users: readonly string[]): void {
  if (users.length > 0) {
    const listed = users.slice(0, 5).join(', ') + (users.length > 5 ? ` and ${users.length - 5} more` : '');
    throw new ProblemError('IN_USE', `${what} is used by ${listed}: change or delete these first`);
  }
}
