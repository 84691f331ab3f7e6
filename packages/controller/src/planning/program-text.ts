/**
 * The JSON of programs, put together from lists that are written once for all nodes that have them.
 */
import type { NodeProgram } from '@mirrorplane/contract';
import { partsOf, textOf } from '@mirrorplane/planner';

/** Same as `JSON.stringify(program)`. */
export function programText(program: NodeProgram): string {
  const { captures: _, deliveries: __, terminations: ___, ...own } = program;
  const parts = partsOf(program);
  const fields = [
    JSON.stringify(own).slice(1, -1),
    listField(
      'captures',
      parts.map(({ captures }) => textOf(captures)),
    ),
    listField(
      'deliveries',
      parts.map(({ deliveries }) => textOf(deliveries)),
    ),
    listField(
      'terminations',
      parts.map(({ terminations }) => textOf(terminations)),
    ),
  ];
  return `{${fields.join(',')}}`;
}

/** @param lists JSON of lists, which are joined to one */
function listField(name: string, lists: readonly string[]): string {
  const items = lists.map((text) => text.slice(1, -1)).filter((text) => text !== '');
  return `"${name}":[${items.join(',')}]`;
}
