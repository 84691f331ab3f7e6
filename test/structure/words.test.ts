/** One word for each concept: words that the glossary has retired do not come back. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';

/** Retired words, and the words that replace them. docs/glossary.md has the reasons. */
const RETIRED: readonly [before: RegExp, now: string][] = [
  [/\b(passedOn|passed_on)\b/, 'relayed'],
  [/\bpass(es)? (it |them |copies )?on to the (other|newer|target) node\b/, 'relay'],
  [/\b(doubtful|in doubt)\b/, 'unconfirmed'],
  [/\b[dD]oubled\b/, 'duplicated'],
  [/\b(awayNodes|destinationAway)\b/, 'handoverNodes, destinationHandovers'],
  [/\bprepareMove\b/, 'prepareHandover'],
  [/\b(InsteadDelivery|leavingOf|CAPTURE_LEAVING)\b/, 'handover'],
  [/\bguest: ?'(expected|left)'/, "role: 'target', 'origin'"],
  [/\b(FormerNodes|former-nodes)\b/, 'OriginNodes'],
  [/\b(MoveCounter|MoveCounts|MoveCosts|moveKey)\b/, 'HandoverCounter and so on'],
  [/\b(cpuHeld|heldBack|heldUntil|HELD_FOR)\b/, 'throttled'],
  [/\bcopies (are|were) held back\b/, 'throttled'],
  [/\bclass Protection\b/, 'Throttle'],
  [/\bwaitUntil\(/, 'until of @mirrorplane/base'],
];

/** Where a retired word is named on purpose. */
const EXEMPT = new Set(['docs/glossary.md', 'CHANGELOG.md', 'test/structure/words.test.ts']);
const TEXT = /\.(ts|h|c|md|py|sh|json)$/;

/** Folders that are made, and not written. */
function isMade(path: string): boolean {
  return /(^|\/)(node_modules|dist|out|results)$/.test(path);
}

const files = ['bench', 'bin', 'docs', 'packages', 'packaging', 'scripts', 'test', 'CONTRIBUTING.md', 'README.md']
  .flatMap((place) => (TEXT.test(place) ? [place] : globSync(`${place}/**`, { cwd: ROOT, exclude: isMade })))
  .filter((file) => TEXT.test(file) && !EXEMPT.has(file) && existsSync(join(ROOT, file)));

test('no file says a word that the glossary has retired', () => {
  const found = files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, at) =>
        RETIRED.filter(([before]) => before.test(line)).map(
          ([, now]) => `${file}:${at + 1}: say ${now}: ${line.trim()}`,
        ),
      ),
  );
  assert.ok(files.length > 500, 'it looks at the whole repository');
  assert.deepEqual(found, []);
});
