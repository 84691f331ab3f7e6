/**
 * `make scale`: a real controller with simulated nodes, at several sizes. See docs/scale.md. usage:
 * main.ts [NODES...]; LOAD= and REST= are seconds, PROFILE= is a folder for profiles of the CPU,
 * FLAGS= are more flags of Node.js for the controller.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine, idleLoad } from '../machine.ts';
import { measure } from './measure.ts';
import { type ScaleRow, scaleTable } from './percentiles.ts';

const OUT = join(import.meta.dirname, '../out');
const FILE = join(OUT, 'scale.jsonl');
const INTERFACES = 100;
/** Milliseconds that one step may take, and all steps of one size. */
const LIMIT_MS = 180_000;
const WHOLE_MS = 780_000;

const say = (line: string) => process.stderr.write(`[scale] ${line}\n`);
const secondsOf = (name: string, usual: number) => Number(process.env[name] ?? usual);

/** The commit that is measured, for example `e153b07`; a `+` follows where files have changed. */
function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}

async function main(): Promise<number> {
  const sizes = process.argv.slice(2).map(Number);
  if (sizes.length === 0 || sizes.some((nodes) => !Number.isInteger(nodes) || nodes < 2)) {
    say('usage: make scale NODES="10 100 1000", each at least 2');
    return 2;
  }
  mkdirSync(OUT, { recursive: true });
  writeFileSync(FILE, '');
  const all: ScaleRow[] = [];
  const failures: string[] = [];
  const loads: number[] = [];
  const seconds = { rest: secondsOf('REST', 10), load: secondsOf('LOAD', 60) };
  for (const nodes of sizes) {
    loads.push(await idleLoad());
    const size = { nodes, interfaces: INTERFACES };
    const limits = { limitMs: LIMIT_MS, wholeMs: WHOLE_MS };
    const result = await measure({ size, seconds, ...limits, profile: process.env.PROFILE, say });
    const { rows } = result;
    all.push(...rows);
    appendFileSync(FILE, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    failures.push(...result.failures.map((failure) => `${nodes} nodes: ${failure}`));
  }
  const failed = failures.map((failure) => `\n${failure}`).join('');
  const when = `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, commit ${commit()}`;
  process.stdout.write(`${scaleTable(all)}\n${failed}\n${when}\n${describeMachine(loads)}\n`);
  say(`written to ${FILE}`);
  return failures.length === 0 ? 0 : 1;
}

process.exitCode = await main();
