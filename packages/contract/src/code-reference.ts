/**
 * The page of all codes: `node packages/contract/src/code-reference.ts --write
 * docs/reference/codes.md`.
 */
import { writeFileSync } from 'node:fs';
import { CODE_MEANINGS, type CodePlace, placesOf } from './code-meanings.ts';
import { CATALOGUE, type ErrorCode } from './errors.ts';

interface Section {
  title: string;
  text: string;
  /** Codes that are shown in all these places and in no other place. */
  places: readonly CodePlace[];
}

const SECTIONS: readonly Section[] = [
  {
    title: 'Why a policy is not active',
    places: ['status'],
    text: `Shown by \`mirrorplane policy status\`, in \`reasons\` of the API, in the event \`policyStateChanged\` and in
the metric \`mirrorplane_policy_reasons\`.`,
  },
  {
    title: 'Problems of nodes that concern policies',
    places: ['status', 'node'],
    text: `Shown with the node by \`mirrorplane node show\`, in \`problems\` of the API, as the events \`nodeProblemBegan\` and
\`nodeProblemEnded\`, and in the metric \`mirrorplane_node_problems\`. A policy that the problem concerns shows
the same code as a reason.`,
  },
  {
    title: 'Problems of nodes alone',
    places: ['node'],
    text: 'Shown with the node, as above. These problems do not affect policies, so policies do not show them.',
  },
  {
    title: 'Rules of a policy',
    places: ['rule'],
    text: `Shown when a policy is refused: in \`errors\` of the answer, each with its field, by the CLI, in the event
\`requestRefused\`, and in the audit log.`,
  },
  {
    title: 'Warnings',
    places: ['warning'],
    text: 'Shown with a policy that is accepted in spite of the warning.',
  },
  {
    title: 'What findings say',
    places: ['finding'],
    text: 'Shown by `mirrorplane find`, on the page *Find a fault* of the console, and in `answer` of the API.',
  },
  {
    title: 'What the test of a policy finds',
    places: ['test'],
    text: 'Shown by `mirrorplane policy test`, with the node and the size of the probe.',
  },
  {
    title: 'Answers to requests',
    places: ['answer'],
    text: `Shown in \`code\` of the answer, with this HTTP status, and by the CLI. A refused change also makes an event
\`requestRefused\` and an entry of the audit log.`,
  },
];

/** The page as it is committed. */
export function codeReference(): string {
  const intro = `# Codes

All codes that the API, the CLI, events and metrics show. A code keeps its meaning in later releases.
Messages may change, so programs should use only the codes.

<!-- Made by: node packages/contract/src/code-reference.ts --write docs/reference/codes.md -->
`;
  return [intro, ...SECTIONS.map(sectionText)].join('\n');
}

function sectionText({ title, text, places }: Section): string {
  const codes = (Object.keys(CATALOGUE) as ErrorCode[]).filter((code) => placesOf(code).join() === places.join());
  const isAnswer = places[0] === 'answer' || places[0] === 'rule';
  const head = ['code', ...(isAnswer ? ['HTTP'] : []), 'title', 'what it means', 'what to do'];
  const rows = codes.sort().map((code) => {
    const { status, title: name, remedy } = CATALOGUE[code];
    return [`\`${code}\``, ...(isAnswer ? [`${status}`] : []), name, CODE_MEANINGS[code], remedy];
  });
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return `## ${title}\n\n${text}\n\n${[head, head.map(() => '---'), ...rows].map(line).join('')}`;
}

if (import.meta.main) {
  const [option, file] = process.argv.slice(2);
  if (option !== '--write' || file === undefined) {
    process.stderr.write('usage: code-reference.ts --write FILE\n');
    process.exitCode = 2;
  } else {
    writeFileSync(file, codeReference());
  }
}
