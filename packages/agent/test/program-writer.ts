/**
 * program-writer.ts FILE COUNT: saves programs of growing revisions, and says each that is on the
 * disk.
 */
import { writeSync } from 'node:fs';
import { NodeProgram } from '@mirrorplane/contract';
import { ProgramFile } from '../src/host/program-file.ts';

/** A program with as many captures as its revision says, so that no two are of the same length. */
export function programOf(revision: number): NodeProgram {
  const captures = Array.from({ length: revision }, (_, i) => ({
    id: `p/web-${i}/0`,
    policy: 'p',
    source: `web-${i}/0`,
    kind: 'vm' as const,
    direction: 'all' as const,
    percent: 100,
    sourceSlot: i,
    delivery: 'd',
  }));
  const rest = { edges: [], deliveries: [], terminations: [], copyVlans: [] };
  return NodeProgram.parse({ node: 'node-1', revision, captures, ...rest });
}

if (process.argv[1] === import.meta.filename) {
  const [file, count] = process.argv.slice(2) as [string, string];
  const programs = new ProgramFile(file);
  for (let revision = 1; revision <= Number(count); revision++) {
    await programs.save(programOf(revision));
    writeSync(1, `${revision}\n`);
  }
}
