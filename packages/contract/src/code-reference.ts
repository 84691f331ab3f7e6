/** The page of all codes: `node packages/contract/src/code-reference.ts --write docs/reference/codes.md`. */
import { writeFileSync } from 'node:fs';
import { CODE_MEANINGS, type CodePlace, placesOf } from './code-meanings.ts';
import { CATALOGUE, type ErrorCode } from './errors.ts';

interface Section {
  title: string;
  text: string;
  /** Codes that are shown in all these places, and in no other. */
  places: readonly CodePlace[];
}

const SECTIONS: readonly Section[] = [
  {
    title: 'Why a policy is not active',
    places: ['status'],
    text: `Shown by \`mirrorplane policy status\`, in \`reasons\` of the API, as the event \`policyStateChanged\` and in
the metric \`mirrorplane_policy_reasons\`.`,
  },
  {
    title: 'Problems of nodes that concern policies',
    places: ['status', 'node'],
    text: `Shown with the node by \`mirrorplane node show\`, in \`problems\` of the API, as the events \`nodeProblemBegan\` and
\`nodeProblemEnded\` and in the metric \`mirrorplane_node_problems\`. A policy that is touched shows them as its reasons too.`,
  },
  {
    title: 'Problems of nodes alone',
    places: ['node'],
    text: 'Shown with the node, as above. Policies copy as they should, and do not show them.',
  },
  {
    title: 'Rules of a policy',
    places: ['rule'],
    text: `Shown where a policy is refused: in \`errors\` of the answer, each with its field, by the CLI, as the event
\`requestRefused\` and in the audit log.`,
  },
  {
    title: 'Warnings',
    places: ['warning'],
    text: 'Shown with a policy that is taken all the same.',
  },
  {
    title: 'Answers to requests',
    places: ['answer'],
    text: `Shown in \`code\` of the answer, with this HTTP status, and by the CLI. A refused change is the event
\`requestRefused\` and a line of the audit log.`,
  },
];

/** The page as it is committed. */
export function codeReference(): string {
  const intro = `# Codes

Every code that the API, the CLI, events and metrics show. A code keeps its meaning from release to release; messages
may change, so programs should look at codes alone.

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
