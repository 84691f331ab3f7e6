/** A lab for the tests of a file. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { createLab, type Lab, type LabOptions } from '@mirrorplane/lab';

/** Milliseconds that making or removing a lab may take on a loaded machine. */
const LAB_MS = 120_000;
/** Lines of each daemon's log that are shown when a test has failed. */
const LOG_LINES = 25;

/**
 * A lab name that no other run on this machine uses. `letter` distinguishes the labs of one file.
 */
export function labName(letter = 't'): string {
  return letter + (process.pid % 36 ** 5).toString(36);
}

/**
 * One lab for all tests of the file, or of the `describe` that it is called in: made before them,
 * removed behind them. When a test has failed, the ends of the daemons' logs are printed. Returns
 * the way to it.
 */
export function useLab(options: LabOptions = {}): () => Lab {
  const name = options.name ?? labName();
  let lab: Lab | undefined;
  let failed = false;
  let forget = () => {};
  before(
    async () => {
      forget = removeWithThisProcess(name);
      lab = await createLab({ ...options, name });
    },
    { timeout: LAB_MS },
  );
  afterEach((context) => {
    // Known to Node, and not to its types.
    failed ||= (context as unknown as { passed?: boolean }).passed === false;
  });
  after(
    async () => {
      forget();
      if (lab === undefined) {
        return;
      }
      if (failed) {
        process.stderr.write(logs(lab));
      }
      await lab.down();
    },
    { timeout: LAB_MS },
  );
  return () => {
    if (lab === undefined) {
      throw new Error('there is no lab yet: use it within a test');
    }
    return lab;
  };
}

const COMMAND = join(import.meta.dirname, '../../bin/mirrorplane');

/**
 * Removes a lab when this process ends in any way: the runner of the tests calls no hook where the run
 * is interrupted.
 * @returns what to call when the lab is removed otherwise
 */
function removeWithThisProcess(name: string): () => void {
  // It reads until this process ends. It has a process group of its own, for that of the run is ended.
  const script = 'cat >/dev/null; exec "$0" lab down --name "$1"';
  const watcher = spawn('sh', ['-c', script, COMMAND, name], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watcher.unref();
  (watcher.stdin as Socket).unref();
  return () => {
    if (watcher.exitCode === null && watcher.signalCode === null) {
      process.kill(-watcher.pid!, 'SIGKILL');
    }
  };
}

function logs(lab: Lab): string {
  const folder = join(lab.runDir, 'logs');
  return readdirSync(folder)
    .map((file) => {
      const lines = readFileSync(join(folder, file), 'utf8').trimEnd().split('\n');
      return `== ${file}\n${lines.slice(-LOG_LINES).join('\n')}\n`;
    })
    .join('');
}
