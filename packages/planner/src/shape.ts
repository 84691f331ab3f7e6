/**
 * Checks the shape of a policy that comes from a form while a user types, and not through the API.
 */
import type { PolicySpec, Refusal } from '@mirrorplane/contract';

const TEXT = 'must be text';
const NUMBER = 'must be a number';

/**
 * A refusal for every field whose type is wrong, so that the rules cannot check it. Empty for a
 * valid `PolicySpec`.
 */
export function shapeRefusals(spec: PolicySpec): Refusal[] {
  if (typeof spec !== 'object' || spec === null) {
    return [{ code: 'FIELD_INVALID', field: '', message: 'a policy must be an object: write its fields by name' }];
  }
  const refusals: Refusal[] = [];
  const expect = (ok: boolean, field: string, what: string): void => {
    if (!ok) {
      refusals.push({ code: 'FIELD_INVALID', field, message: `${field} ${what}` });
    }
  };
  expect(typeof spec.name === 'string', 'name', TEXT);
  expect(Array.isArray(spec.sources), 'sources', 'must be a list of interface ids');
  if (Array.isArray(spec.sources)) {
    // entries() also gives the holes of a sparse array; forEach skips them.
    for (const [index, id] of spec.sources.entries()) {
      expect(typeof id === 'string', `sources[${index}]`, TEXT);
    }
  }
  expect(typeof spec.destination === 'string', 'destination', TEXT);
  expect(typeof spec.direction === 'string', 'direction', TEXT);
  expect(typeof spec.percent === 'number', 'percent', NUMBER);
  expect(spec.vlanId === undefined || typeof spec.vlanId === 'number', 'vlanId', NUMBER);
  expect(spec.maxRate === undefined || typeof spec.maxRate === 'number', 'maxRate', NUMBER);
  expect(
    spec.allowFeedback === undefined || typeof spec.allowFeedback === 'boolean',
    'allowFeedback',
    'must be true or false',
  );
  return refusals;
}
