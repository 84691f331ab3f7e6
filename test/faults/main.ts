/**
 * `make faults`: faults for minutes, in rounds. Each round has a new world and a seed of its own.
 * SEED: of the first round. MINUTES: of faults, default 5. KIND: `etcd`, `several` or `file`, default all by turns.
 * ONLY: a part of the names of faults. It prints the table of docs/faults.md, and ends with 1 if
 * anything is wrong.
 */
import { type Random, seeded } from '../chaos/random.ts';
import { FAULTS, type Fault } from './faults.ts';
import { type FaultRow, runFaults } from './run.ts';
import { tableOf } from './table.ts';
import { WORLD_KINDS, World, type WorldKind } from './world/world.ts';

/** Minutes after which a round ends. A check takes longer for a longer history. */
const ROUND_MINUTES = 2;

const { SEED, MINUTES = '5', KIND, ONLY = '' } = process.env;
const first = Number(SEED ?? 1 + Math.floor(Math.random() * 1e6));
/** Milliseconds of faults that are left. The start of a world takes none of them. */
let leftMs = Number(MINUTES) * 60_000;
if (!(leftMs > 0)) {
  throw new Error(`MINUTES=${MINUTES}: use a number above 0`);
}
if (KIND !== undefined && !(WORLD_KINDS as readonly string[]).includes(KIND)) {
  throw new Error(`KIND=${KIND}: use one of ${WORLD_KINDS.join(', ')}`);
}

/** All faults of a world in a random order, again and again. */
function* endless(kind: WorldKind, random: Random): Generator<Fault> {
  const all = FAULTS.filter(({ kinds, name }) => kinds.includes(kind) && name.includes(ONLY));
  if (all.length === 0) {
    throw new Error(`no fault of ${kind} has the name "${ONLY}"`);
  }
  for (;;) {
    yield* random.some(all, all.length);
  }
}

async function round(kind: WorldKind, seed: number, rows: FaultRow[]): Promise<string[]> {
  const world = await World.start(kind);
  const began = performance.now();
  const roundEnd = began + Math.min(leftMs, ROUND_MINUTES * 60_000);
  try {
    const faults = endless(kind, seeded(seed));
    const isOver = () => performance.now() > roundEnd;
    const onRow = (row: FaultRow) => console.log(JSON.stringify(row));
    const { rows: more, problems, ...counts } = await runFaults(world, { seed, faults, isOver, onRow });
    rows.push(...more);
    console.log(`round of seed ${seed}, ${kind}: ${JSON.stringify(counts)}, ${problems.length} problems`);
    if (more.length === 0) {
      problems.push('no fault ran: give it more MINUTES');
    }
    return problems.map((problem) => `seed ${seed}, ${kind}: ${problem}`);
  } finally {
    leftMs -= performance.now() - began;
    await world.end();
  }
}

const TITLES = { etcd: 'one controller, etcd', several: 'three controllers, etcd', file: 'one controller, a file' };
const rows: Record<WorldKind, FaultRow[]> = { etcd: [], several: [], file: [] };
const problems: string[] = [];
for (let number = 0; leftMs > 0; number++) {
  const kind = WORLD_KINDS.find((one) => one === KIND) ?? WORLD_KINDS[number % WORLD_KINDS.length]!;
  problems.push(...(await round(kind, first + number, rows[kind])));
}
for (const kind of WORLD_KINDS) {
  if (rows[kind].length > 0) {
    console.log(`\n${TITLES[kind]}:\n\n${tableOf(rows[kind])}`);
  }
}
console.log(problems.length === 0 ? '\nlost: nothing' : `\nPROBLEMS:\n${problems.join('\n')}`);
process.exit(problems.length === 0 ? 0 : 1);
