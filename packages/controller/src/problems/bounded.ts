/** The size of a problem document is bounded, whatever the request was. */
import { jsonText, type Problem, type Refusal } from '@mirrorplane/contract';

/**
 * Bytes of all refusals of a document. A policy of 1024 sources that are all unknown is refused
 * with some 330 KB.
 */
const MAX_REFUSALS_BYTES = 512 * 1024;
/** Characters of a detail, of a message, and of the path of a field. They may quote the request. */
const MAX_DETAIL = 4096;
const MAX_MESSAGE = 1024;
const MAX_FIELD = 256;

/** The problem with texts that are cut, and without refusals beyond the bound. `detail` says how many are left out. */
export function bounded(problem: Problem): Problem {
  const errors: Refusal[] = [];
  let room = MAX_REFUSALS_BYTES;
  for (const error of problem.errors) {
    const short = { ...error, field: cut(error.field, MAX_FIELD), message: cut(error.message, MAX_MESSAGE) };
    room -= Buffer.byteLength(jsonText(short));
    if (room < 0) {
      break;
    }
    errors.push(short);
  }
  const left = problem.errors.length - errors.length;
  const more = left > 0 ? ` (${left} more refusals are not listed)` : '';
  return { ...problem, detail: cut(problem.detail, MAX_DETAIL) + more, errors };
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}
