/** What is lost on paths by now is what the status of their policies says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '@mirrorplane/base';
import type { PolicyPlan } from '@mirrorplane/planner';
import fc from 'fast-check';
import { lossesNow } from '../src/history/losses-now.ts';
import type { Planning } from '../src/planning/planning.ts';
import { policyStatuses } from '../src/planning/policy-status.ts';
import { carryOut, NODES, steps } from './reporting-world.ts';

type Parts = Parameters<Parameters<typeof carryOut>[2]>[2];

/** Looks at the world after each of any steps. */
function always(look: (parts: Parts) => void, numRuns: number): void {
  const property = fc.property(steps, (list) =>
    carryOut(
      list,
      () => undefined,
      (_, __, parts) => look(parts),
    ),
  );
  fc.assert(property, { numRuns });
}

test('after any changes, losses of paths are those of the statuses', () => {
  let compared = 0;
  const compare = (parts: Parts) => {
    const plans = (parts.planning.planned?.policies ?? new Map()) as ReadonlyMap<string, PolicyPlan>;
    const { live } = parts;
    const planning = parts.planning as Planning;
    const losses = atOnce(lossesNow({ live, planning }, new Set(NODES)));
    const lostOf = new Map(losses.map(({ uid, from, to, lost }) => [`${uid} ${from} ${to}`, lost]));
    for (const { uid, paths } of policyStatuses(parts).filter((one) => plans.has(one.uid))) {
      for (const { from, to, lost } of paths) {
        if (plans.get(uid)!.paths.some((path) => path.from === from && path.to === to)) {
          assert.equal(lostOf.get(`${uid} ${from} ${to}`) ?? null, lost);
          compared += (lost ?? 0) > 0 ? 1 : 0;
        }
      }
    }
  };
  // Few of the steps lose copies: now and then none of 400 lists does.
  for (let round = 0; round === 0 || (compared === 0 && round < 10); round++) {
    always(compare, 400);
  }
  assert.ok(compared > 0, 'nothing was ever lost');
});

test('of policies of which no node has reported, nothing is said', () => {
  always(({ live, planning }) => {
    assert.deepEqual(atOnce(lossesNow({ live, planning: planning as Planning }, new Set())), []);
  }, 20);
});
