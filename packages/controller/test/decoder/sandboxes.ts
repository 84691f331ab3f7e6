/** Sandboxes that are none, for what happens without a decoder. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Sandbox } from '../../src/decoder/sandbox.ts';

/** A shell script in place of a decoder, without bounds. */
export function scripted(script: string): Sandbox {
  return () => started('sh', ['-c', script]);
}

/** A host without bubblewrap. */
export const missing: Sandbox = () => started('/nonexistent/bwrap', []);

function started(command: string, options: string[]): { stdin: Writable; stdout: Readable; kill: () => void } {
  const child: ChildProcess = spawn(command, options, { stdio: ['pipe', 'pipe', 'ignore'] });
  const { stdin, stdout } = child as ChildProcess & { stdin: Writable; stdout: Readable };
  child.on('error', (error) => stdout.destroy(error));
  return { stdin, stdout, kill: () => child.kill('SIGKILL') };
}
