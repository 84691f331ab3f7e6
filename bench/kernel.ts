/**
 * Runs parts of the bench on a kernel of Debian in QEMU, with emulation: only ratios within one run
 * say something.
 * usage: scripts/run.sh bench/kernel.ts [KERNEL] [-- OPTION...]. Default: 6.12, and the parts that
 * compare with the kernel's own ERSPAN device. Writes bench/out/kernel-KERNEL.jsonl.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getKernel, parseWish } from '../test/kernels/kernel.ts';
import { runOn } from '../test/kernels/machine.ts';

/** Seconds until the machine is ended: loading the programs takes half a minute there. */
const LIMIT_SECONDS = 3000;
const DEFAULTS = ['--only', 'device-packets,device-stream', '--rounds', '5', '--seconds', '2'];
const ROOT = join(import.meta.dirname, '..');
const ROWS = '/tmp/rows.jsonl';
const MARK = '== rows ==';

/** Prints what the bench prints, and returns the rows. */
async function main(argv: string[]): Promise<number> {
  const split = argv.indexOf('--');
  const [wish = '6.12'] = split === -1 ? argv : argv.slice(0, split);
  const options = split === -1 ? DEFAULTS : argv.slice(split + 1);
  const say = (line: string) => void process.stderr.write(`[bench] ${line}\n`);
  const kernel = await getKernel(parseWish(wish), say);
  say(`Linux ${kernel.release}`);
  const bench = ['scripts/run.sh', 'bench/main.ts', ...options, '--output', ROWS];
  const command = `"$@" && echo '${MARK}' && cat ${ROWS}`;
  let output = '';
  const outcome = await runOn(kernel, {
    argv: ['unshare', '-n', 'sh', '-c', command, 'sh', ...bench],
    cwd: ROOT,
    seconds: LIMIT_SECONDS,
    onOutput(bytes) {
      output += bytes.toString();
      process.stderr.write(bytes);
    },
  });
  const [, rows] = output.split(`${MARK}\n`);
  if (rows !== undefined) {
    const folder = join(import.meta.dirname, 'out');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `kernel-${kernel.release}.jsonl`);
    writeFileSync(file, rows.replaceAll('\r', ''));
    say(`written to ${file}`);
  }
  return outcome.code;
}

process.exitCode = await main(process.argv.slice(2));
