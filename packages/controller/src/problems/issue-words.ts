/** Messages for invalid values. Those of the schema library are written for programmers. */
import type * as z from 'zod';

const TYPES: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object with fields',
  record: 'an object with fields',
};

/**
 * The message for an issue whose schema has no message. Undefined: the library's message is used.
 */
export function issueWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `use ${TYPES[issue.expected] ?? issue.expected}`;
    case 'too_big':
      return `use ${amount(issue.origin, 'at most', issue.maximum)}`;
    case 'too_small':
      return `use ${amount(issue.origin, 'at least', issue.minimum)}`;
    case 'invalid_value':
      return `use ${issue.values.map(String).join(', ')}`.replace(/, (?=[^,]*$)/, ' or ');
    case 'invalid_format':
      return `it is not a valid ${issue.format}`;
    default:
      return undefined;
  }
}

function amount(origin: string, bound: string, value: number | bigint): string {
  if (origin === 'string') {
    return `${bound} ${value} characters`;
  }
  return origin === 'array' || origin === 'set' ? `${bound} ${value} entries` : `a number of ${bound} ${value}`;
}
