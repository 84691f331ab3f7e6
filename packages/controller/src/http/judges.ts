/** Makes the judge of a request from the services. */
import type { Grant, Right, Warning } from '@mirrorplane/contract';
import { Judge, type Thing, type Things } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { unmatchedGrants } from '../access/unmatched.ts';
import type { Services } from '../services.ts';

/** What the controller knows of things. */
export function thingsOf({ view, inventory, looks, findings }: Services): Things {
  return {
    interface: (id) => inventory.get(id),
    poolOf: (node) => view.get('nodes', node)?.value.pool,
    policy: (name) => view.get('policies', name)?.value,
    poolsOf: (domain) =>
      [...view.all('pools').values()].flatMap(({ value }) => (value.domain === domain ? [value.name] : [])),
    // A policy may get any sources while it is looked at: no scope has such a look.
    look: (id) => {
      const look = looks.get(id);
      return look && (look.policyUid === undefined ? [...look.subjects] : []);
    },
    finding: (id) => {
      const run = findings.get(id);
      return run && [run.request.from, run.request.to];
    },
  };
}

/** The judge of what somebody with these grants may do. */
export function judgeOf(grants: readonly Grant[], services: Services): Judge {
  return new Judge(grants, thingsOf(services));
}

/** @throws ProblemError FORBIDDEN if the right is not given for the thing */
export function require(judge: Judge, right: Right, thing: Thing, name: string): void {
  if (!judge.may(right, thing, name)) {
    throw forbidden(right, `${thing}/${name}`);
  }
}

/**
 * What the author of grants should know: what they name that is not there. Nobody is told who may not
 * read everything.
 */
export function grantWarnings(
  grants: readonly Grant[],
  { services: { view, inventory }, judge }: { services: Services; judge: Judge },
): { warnings?: Warning[] } {
  const known = { pools: new Set(view.all('pools').keys()), interfaces: inventory.now().interfaces };
  const warnings = judge.everywhere('read') ? unmatchedGrants(grants, known) : [];
  return warnings.length > 0 ? { warnings } : {};
}
