/** main.ts run KERNEL [--seconds N] -- COMMAND…: runs a command on another kernel, with this machine's files. */
import { parseArgs } from 'node:util';
import { getKernel, parseWish } from './kernel.ts';
import { runOn } from './machine.ts';

const say = (line: string) => process.stderr.write(`[kernels] ${line}\n`);

const at = process.argv.indexOf('--');
const command = at < 0 ? [] : process.argv.slice(at + 1);
const { positionals, values } = parseArgs({
  args: process.argv.slice(2, at < 0 ? undefined : at),
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '600' }, memory: { type: 'string', default: '3072' } },
});
const [verb, wish] = positionals;
if (verb !== 'run' || wish === undefined || command.length === 0) {
  say('usage: scripts/kernels.sh run KERNEL [--seconds N] [--memory MIB] -- COMMAND…');
  process.exit(2);
}
try {
  const kernel = await getKernel(parseWish(wish), say);
  const order = { argv: command, seconds: Number(values.seconds), memory: Number(values.memory) };
  const { code, bootSeconds } = await runOn(kernel, order);
  say(`Linux ${kernel.release}: booted in ${bootSeconds.toFixed(1)} s, exit status ${code}`);
  process.exitCode = code;
} catch (error) {
  say((error as Error).message);
  process.exitCode = 125;
}
