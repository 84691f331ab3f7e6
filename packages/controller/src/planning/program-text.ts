/**
 * The JSON of programs and of differences, put together from lists that are written once for all
 * nodes that have them.
 */
import { type NodeProgram, ownOf, type PolicyPart, type ProgramDifference, partsOf } from '@mirrorplane/contract';
import { textOf } from '@mirrorplane/planner';

/** Same as `JSON.stringify(program)`. */
export function programText(program: NodeProgram): string {
  const own = { ...ownOf(program), revision: program.revision };
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

/** Same as `JSON.stringify(difference)`, apart from the order of fields. */
export function differenceText({ parts, ...others }: ProgramDifference): string {
  return `{${JSON.stringify(others).slice(1, -1)},"parts":[${parts.map(partText).join(',')}]}`;
}

function partText({ policy, captures, deliveries, terminations }: PolicyPart): string {
  const lists = `"captures":${textOf(captures)},"deliveries":${textOf(deliveries)},"terminations":${textOf(terminations)}`;
  return `{"policy":${JSON.stringify(policy)},${lists}}`;
}

/** @param lists JSON of lists, which are joined to one */
function listField(name: string, lists: readonly string[]): string {
  const items = lists.map((text) => text.slice(1, -1)).filter((text) => text !== '');
  return `"${name}":[${items.join(',')}]`;
}
