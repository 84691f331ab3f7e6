/**
 * main.ts run KERNEL [--seconds N] [--memory MIB] -- COMMAND…: runs a command on another kernel,
 * with this machine's files. main.ts matrix [--kernels LIST] [--compilers LIST] [--tests LIST]
 * [--tested LIST]: kernels, compilers, kernel tests.
 */
import { parseArgs } from 'node:util';
import { ownArchitecture } from './apt.ts';
import { sourceTree } from './check.ts';
import { getKernel, parseWish } from './kernel.ts';
import { runOn } from './machine.ts';
import { runMatrix } from './matrix.ts';

const say = (line: string) => process.stderr.write(`[kernels] ${line}\n`);
const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

/** What is tried where nothing is named. */
const KERNELS = '6.1 6.12 6.17 6.18 newest 6.12:arm64';
const COMPILERS = 'default 14 16 19 22';

const at = process.argv.indexOf('--');
const command = at < 0 ? [] : process.argv.slice(at + 1);
const { positionals, values } = parseArgs({
  args: process.argv.slice(2, at < 0 ? undefined : at),
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    memory: { type: 'string', default: '3072' },
    kernels: { type: 'string' },
    compilers: { type: 'string' },
    tests: { type: 'string', default: 'all' },
    tested: { type: 'string', default: '6.1 6.12' },
  },
});

async function runOne(wish: string): Promise<number> {
  const kernel = await getKernel(parseWish(wish), say);
  // A guest of this architecture has the same folders; one of the other has the source tree alone.
  const place = kernel.architecture === ownArchitecture() ? {} : await sourceTree(kernel);
  const order = { argv: command, ...place, seconds: Number(values.seconds), memory: Number(values.memory) };
  const { code, bootSeconds } = await runOn(kernel, order);
  say(`Linux ${kernel.release}: booted in ${bootSeconds.toFixed(1)} s, exit status ${code}`);
  return code;
}

async function runAll(): Promise<number> {
  const tests = values.tests === 'all' ? [] : words(values.tests);
  const selection = {
    kernels: words(values.kernels ?? KERNELS),
    compilers: words(values.compilers ?? COMPILERS),
    named: { kernels: values.kernels !== undefined, compilers: values.compilers !== undefined },
    tested: values.tests === 'none' ? [] : words(values.tested),
    tests,
  };
  return (await runMatrix(selection, say, console.log)) ? 0 : 1;
}

// A machine ends with this process, and its folder goes when the process exits by itself.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => process.exit(130));
}

const [verb, wish] = positionals;
try {
  if (verb === 'run' && wish !== undefined && command.length > 0) {
    process.exitCode = await runOne(wish);
  } else if (verb === 'matrix' && wish === undefined) {
    process.exitCode = await runAll();
  } else {
    say('usage: scripts/kernels.sh run KERNEL [--seconds N] [--memory MIB] -- COMMAND…, or scripts/kernels.sh matrix');
    process.exitCode = 2;
  }
} catch (error) {
  say((error as Error).message);
  process.exitCode = 125;
}
