/** Starts decoders where they can do no harm: dissectors have bugs, and packets come from strangers. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { DecoderEnded } from './decoder-errors.ts';

/** A decoder that was started. It ends when its standard input does, or by `kill`. */
export interface Running {
  stdin: Writable;
  stdout: Readable;
  /** Ends it at once. Idempotent. */
  kill(): void;
}

/** Starts one process of `decode.sh` a call. What goes wrong is an error of its standard output. */
export type Sandbox = () => Running;

/** Where the package has the socket of its unit. */
const SOCKET = '/run/mirrorplane-decoder.sock';
/** Beside the bundle in a package, too. */
const SCRIPT = path.join(import.meta.dirname, 'decode.sh');
/** Bytes of files of a decoder: a snapshot of a look. */
const TMP_BYTES = 32 << 20;
/** User and group "nobody", for a controller that runs as root. */
const NOBODY = 65_534;

/** The unit of the package where its socket is; else bubblewrap. */
export function findSandbox(): Sandbox {
  return existsSync(SOCKET) ? socketSandbox(SOCKET) : bubblewrap;
}

/**
 * Connects to a socket of systemd: each connection starts a unit with a user of its own, without a
 * network, and with bounds that systemd enforces.
 */
export function socketSandbox(socket: string): Sandbox {
  return () => {
    const connection = connect(socket);
    return { stdin: connection, stdout: connection, kill: () => connection.destroy() };
  };
}

/** `decode.sh` in bubblewrap. */
export const bubblewrap: Sandbox = () => bubblewrapped(readFileSync(SCRIPT, 'utf8'));

/**
 * A shell script with namespaces of its own, as nobody: no network, no other process, no file except
 * programs and libraries.
 * @throws DecoderEnded where the controller has no file descriptors left
 */
export function bubblewrapped(script: string): Running {
  const child = spawn('bwrap', [...BUBBLEWRAP, '/bin/sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH: '/usr/bin:/bin:/usr/local/bin' },
    ...(process.getuid?.() === 0 && { uid: NOBODY, gid: NOBODY }),
  });
  // Without file descriptors there are no pipes, whatever the types say.
  const { stdin, stdout } = child as Partial<typeof child>;
  child.on('error', (error) => stdout?.destroy(error));
  if (!stdin || !stdout) {
    throw new DecoderEnded('the decoder cannot be started now: the controller has too many files open');
  }
  return { stdin, stdout, kill: () => child.kill('SIGKILL') };
}

const BUBBLEWRAP = [
  ['--unshare-all', '--unshare-user', '--disable-userns'],
  ['--new-session', '--die-with-parent', '--clearenv'],
  ['--ro-bind', '/usr', '/usr'],
  ['--ro-bind-try', '/lib', '/lib'],
  ['--ro-bind-try', '/lib64', '/lib64'],
  ['--ro-bind-try', '/bin', '/bin'],
  ['--dev', '/dev'],
  ['--size', String(TMP_BYTES), '--tmpfs', '/tmp'],
  ['--remount-ro', '/', '--chdir', '/tmp', '--'],
].flat();
