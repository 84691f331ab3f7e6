/**
 * Recognises rows of counters that have exactly the fields that they may have. Rows come by the
 * thousand each second. Such a row is taken as it is: a schema would take five times as long to
 * come to the same. Everything else is left to the schemas.
 */
import { MAX_CAPTURE_STATUSES, MAX_COUNT, MAX_ID, MAX_LANES } from './bounds.ts';
import { NAME_PATTERN } from './names.ts';

type Fields = Record<string, unknown>;
/** Whether a field has the right value. Undefined: the field is absent. */
type Check = (value: unknown) => boolean;

const isId: Check = (value) => typeof value === 'string' && value.length <= MAX_ID;
const isName: Check = (value) => typeof value === 'string' && NAME_PATTERN.test(value);
const isAmount: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= MAX_COUNT && Number.isInteger(value);

/** Whether a value is an object with these fields and no others. */
function has(checks: Readonly<Record<string, Check>>): Check {
  const names = Object.keys(checks);
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return false;
    }
    const fields = value as Fields;
    for (const name in fields) {
      if (!Object.hasOwn(checks, name)) {
        return false;
      }
    }
    for (const name of names) {
      if (!checks[name]!(fields[name])) {
        return false;
      }
    }
    return true;
  };
}

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const isCount = has({ packets: isAmount, bytes: isAmount });
const isNumber = optional(
  (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_CAPTURE_STATUSES,
);
const isLife = optional((value) => Number.isSafeInteger(value));

/** An object with some of these names, and a count of each. */
const countsBy = (names: readonly string[]) => has(Object.fromEntries(names.map((name) => [name, optional(isCount)])));

/** Which rows are plain, with the reasons that counts can have. */
export function plainRows(reasons: {
  drops: readonly string[];
  skips: readonly string[];
  terminationDrops: readonly string[];
}): { isCapture: Check; isDelivery: Check; isTermination: Check } {
  const isCounts = has({
    matched: isCount,
    sampledOut: isCount,
    copied: isCount,
    truncated: isCount,
    dropped: countsBy(reasons.drops),
    skipped: countsBy(reasons.skips),
  });
  const isNumbers = optional((value) => Array.isArray(value) && value.length <= MAX_LANES && value.every(isAmount));
  return {
    isCapture: has({
      number: isNumber,
      policy: isId,
      source: isId,
      direction: (value) => value === 'inbound' || value === 'outbound',
      life: isLife,
      counts: isCounts,
    }),
    isDelivery: has({
      delivery: isId,
      policy: isId,
      life: isLife,
      sent: isCount,
      feedback: optional(isCount),
      numbered: isNumbers,
    }),
    isTermination: has({
      termination: isId,
      policy: isId,
      node: isName,
      life: isLife,
      received: isCount,
      delivered: isCount,
      relayed: isCount,
      dropped: countsBy(reasons.terminationDrops),
      missing: optional(isCount),
      late: optional(isCount),
      expected: isNumbers,
    }),
  };
}
