/**
 * Runs commands in a guest through its serial console, also while the guest migrates to another
 * QEMU.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, type RunOptions, type RunResult } from '../netns.ts';
import { LabError } from '../state.ts';
import { CONSOLE_LINE_MAX } from './guest-files.ts';

/**
 * Milliseconds until an unanswered question is asked again. Data in flight is lost when a guest
 * migrates.
 */
const ANSWER_MS = 2000;
/** The longest pause between two checks whether a command has ended, milliseconds. */
const PAUSE_MAX_MS = 100;

/**
 * Sends one line, and returns the guest's answer, which contains the id. Throws if no answer comes.
 */
function ask(path: string, line: string, id: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const end = (error: Error | null, words: string[] = []) => {
      clearTimeout(timer);
      socket.destroy();
      if (error === null) {
        resolve(words);
      } else {
        reject(error);
      }
    };
    const timer = setTimeout(() => end(new Error(`${path}: no answer`)), ANSWER_MS);
    socket.on('close', () => end(new Error(`${path}: closed`)));
    // readline forwards errors of the socket, and throws them if it has no listener.
    const lines = createInterface({ input: socket });
    for (const source of [socket, lines]) {
      source.on('error', end);
    }
    lines.on('line', (text) => {
      const words = text.trim().split(' ');
      if (words[0]?.startsWith('@') && words[1] === id) {
        end(null, words);
      }
    });
    // The empty line ends an incomplete line of an earlier connection.
    socket.write(`\n${line}\n`);
  });
}

/** True once the guest's console answers. This is the last step of its start. */
export async function guestAnswers(path: string): Promise<boolean> {
  return (await ask(path, 'result none 0', 'none'))[0] === '@unknown';
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * Runs a command in a guest to its end. `path` returns the current place of the console. Throws
 * `CommandError` as `run` does, and `LabError` for input or a command of more than about 2900
 * bytes, which a console does not support.
 */
export async function runInGuest(path: () => string, argv: string[], options: RunOptions = {}): Promise<RunResult> {
  if (options.input) {
    throw new LabError('a command in a QEMU guest takes no input');
  }
  const id = randomBytes(4).toString('hex');
  const environment = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const command = `echo $$ >/run/${id}/pid; exec env ${[...environment, ...argv].map(quoted).join(' ')}`;
  const text = Buffer.from(command).toString('base64');
  if (text.length > CONSOLE_LINE_MAX - 100) {
    throw new LabError('a command in a QEMU guest is at most 2900 bytes long');
  }
  const start = `run ${id} ${text.length} ${text}`;

  const limit = options.timeoutMs ?? 60_000;
  const deadline = performance.now() + limit;
  let question = start;
  for (let pause = 2; performance.now() < deadline; ) {
    // There is no answer while the guest migrates, or while another question is being answered.
    const words = await ask(path(), question, id).catch(() => []);
    const result = words[0] === '@result' ? resultIn(words) : null;
    if (result !== null) {
      await ask(path(), `forget ${id}`, id).catch(() => undefined);
      if (result.code !== 0 && options.check !== false) {
        throw new CommandError(argv, result);
      }
      return result;
    }
    question = words[0] === '@unknown' || words[0] === '@cut' ? start : `result ${id} 0`;
    if (words.length > 0 && words[0] !== '@pending') {
      continue;
    }
    await sleep(pause);
    pause = Math.min(pause * 1.5, PAUSE_MAX_MS);
  }
  await ask(path(), `stop ${id}`, id).catch(() => undefined);
  throw new CommandError(argv, { code: 137, stdout: '', stderr: '' }, `no end after ${limit} ms in the guest`);
}

/** The result in an answer. Null if the console has lost a part of it. */
function resultIn(words: string[]): RunResult | null {
  const [, , code, outLength, errLength, out = '', err = ''] = words;
  if (out.length !== Number(outLength) + 1 || err.length !== Number(errLength) + 1) {
    return null;
  }
  const decoded = (word: string) => Buffer.from(word.slice(1), 'base64').toString();
  return { code: Number(code), stdout: decoded(out), stderr: decoded(err) };
}
