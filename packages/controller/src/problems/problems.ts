/** Turns errors of a request into a problem document that lists every refusal. */
import { type ErrorCode, type Params, type Problem, problem, type Refusal } from '@mirrorplane/contract';
import * as z from 'zod';
import { issueWords } from './issue-words.ts';

/** Thrown to refuse a request. It becomes the response. */
export class ProblemError extends Error {
  override name = 'ProblemError';
  readonly problem: Problem;

  constructor(code: ErrorCode, detail: string, errors: readonly Refusal[] = [], params?: Params) {
    super(detail);
    this.problem = problem(code, detail, errors, params);
  }
}

/** Refusals of a path, a query or a body that are listed. The summary counts all of them. */
const MAX_REFUSALS = 100;

/** Refuses the value of one field. */
export function refuseField(field: string, message: string): never {
  throw new ProblemError('FIELD_INVALID', message, [{ code: 'FIELD_INVALID', field, message }]);
}

/**
 * Parses `value`, or throws a problem with all issues. @param what part of the request, for example
 * "body"
 */
export function parseOrRefuse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true, error: issueWords });
  if (result.success) {
    return result.data;
  }
  const errors = result.error.issues.flatMap(
    (issue) => repeatedParameter(issue, value, what) ?? refusalsOf(issue, schema),
  );
  const code = errors.every((error) => error.code === 'FIELD_UNKNOWN') ? 'FIELD_UNKNOWN' : 'FIELD_INVALID';
  throw new ProblemError(code, summary(what, errors), errors.slice(0, MAX_REFUSALS));
}

function summary(what: string, errors: readonly Refusal[]): string {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return `the ${what} is refused: ${first?.message}${more}`;
}

/**
 * The refusal of a query parameter that came more than once, and takes one value. Its schema has
 * seen a list.
 */
function repeatedParameter({ path }: z.core.$ZodIssue, query: unknown, what: string): Refusal[] | undefined {
  const field = fieldPath(path);
  const isRepeated = what === 'query' && path.length === 1 && Array.isArray((query as Record<string, unknown>)[field]);
  return isRepeated
    ? [{ code: 'FIELD_INVALID', field, message: `"${field}" is given more than once: give it once` }]
    : undefined;
}

function refusalsOf(issue: z.core.$ZodIssue, schema: z.ZodType): Refusal[] {
  const field = fieldPath(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((key) => ({
      code: 'FIELD_UNKNOWN',
      field: fieldPath([...issue.path, key]),
      message: unknownMessage(key, known),
    }));
  }
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    const message = field ? `"${field}" is missing: give it` : 'it is missing: send it as JSON';
    return [{ code: 'FIELD_INVALID', field, message }];
  }
  const text = issue.message.replace(/^Invalid input: /, '');
  return [{ code: 'FIELD_INVALID', field, message: field ? `"${field}": ${text}` : text }];
}

/** A path as text, for example `edge.allowedVlans[2]`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') {
      return `${text}[${part}]`;
    }
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

function unknownMessage(key: string, known: readonly string[]): string {
  const close = nearest(key, known);
  if (close !== undefined) {
    return `"${key}" is not known: did you mean "${close}"?`;
  }
  return `"${key}" is not known: ${known.length === 0 ? 'there are none' : `use ${known.join(', ')}`}`;
}

/** The fields that the schema knows at a path. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at = unwrap(schema);
  for (const part of path) {
    if (at instanceof z.ZodObject) {
      at = unwrap(at.shape[String(part)] as z.ZodType);
    } else if (at instanceof z.ZodArray) {
      at = unwrap(at.element as z.ZodType);
    } else {
      return [];
    }
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrap(schema: z.ZodType): z.ZodType {
  let at = schema;
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodNullable) {
    at = at.unwrap() as z.ZodType;
  }
  return at;
}

/** The known name that differs by at most a third of its letters. */
function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const most = Math.max(1, Math.floor(candidate.length / 3));
    // A name may have a million characters.
    if (Math.abs(name.length - candidate.length) > most) {
      continue;
    }
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance <= most && distance < (best?.distance ?? Infinity)) {
      best = { name: candidate, distance };
    }
  }
  return best?.name;
}

/** The smallest number of letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
