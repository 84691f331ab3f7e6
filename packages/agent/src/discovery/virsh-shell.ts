/**
 * A `virsh` process that answers many questions one after the other. A process for each question
 * would take most of the time.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/**
 * The longest time of an answer, milliseconds. libvirt locks a domain for seconds at the end of its
 * migration.
 */
const ANSWER_LIMIT_MS = 60_000;
/** Errors of virsh without a connection to libvirt, in the C locale. */
const UNREACHABLE = /^error: (.*(?:failed to connect|Disconnected from|client socket is closed|Cannot recv data).*)$/m;

/** The XML of a domain. Its texts may contain any line except its closing tag. */
export const DOMAIN = /^<domain[\s\S]*^<\/domain>$/m;

/** The environment for virsh: the C locale, and no history file. */
export function virshEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', TERM: 'dumb', INPUTRC: '/dev/null', XDG_CACHE_HOME: '/dev/null' };
}

/** The options of every virsh process. It only reads. */
export function virshOptions(uri: string): string[] {
  return ['--readonly', '--quiet', '--connect', uri];
}

interface Question {
  mark: string;
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
  limit: NodeJS.Timeout;
}

/** One process. It ends when its standard input closes, so it ends with the agent. */
export class VirshShell {
  readonly #child: ChildProcess;
  #output = '';
  #question: Question | undefined;
  #asked = 0;
  #ended: string | undefined;

  constructor(uri: string) {
    // Errors must have their place among the answers, so both go to one stream.
    const argv = ['-c', 'exec virsh "$@" 2>&1', 'sh', ...virshOptions(uri)];
    this.#child = spawn('sh', argv, { stdio: ['pipe', 'pipe', 'ignore'], env: virshEnvironment() });
    this.#child.stdout!.setEncoding('utf8').on('data', (part: string) => this.#receive(part));
    // A write to a process that has just ended. Its end is reported separately.
    this.#child.stdin!.on('error', () => undefined);
    this.#child.once('error', (error) => this.#end(error.message));
    this.#child.once('close', () => this.#end(this.#output.trim().split('\n').at(-1) || 'virsh has ended'));
  }

  /** True if the process runs and answers no question. */
  get idle(): boolean {
    return this.#ended === undefined && this.#question === undefined;
  }

  /** True if the process has ended. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /**
   * Runs commands, and returns their output with the echoed commands and errors. Call it only while
   * `idle`.
   * @throws Error if virsh has ended, or has no connection to libvirt
   */
  ask(commands: readonly string[]): Promise<string> {
    const mark = `<!--answer-${++this.#asked}-->`;
    // The mark is split, so that the echo of the command differs from its output.
    const end = `echo "${mark.slice(0, 5)}""${mark.slice(5)}"`;
    this.#output = '';
    return new Promise<string>((resolve, reject) => {
      if (this.#ended !== undefined) {
        return reject(new Error(this.#ended));
      }
      const limit = setTimeout(() => this.#fail('virsh does not answer'), ANSWER_LIMIT_MS);
      this.#question = { mark, resolve, reject, limit };
      this.#child.stdin!.write(`${[...commands, end].join('\n')}\n`);
    });
  }

  /** Ends it. */
  close(): void {
    this.#fail('virsh was ended');
  }

  #receive(part: string): void {
    this.#output += part;
    const question = this.#question;
    const at = question === undefined ? -1 : this.#output.indexOf(question.mark);
    if (question === undefined || at < 0) {
      return;
    }
    const answer = this.#output.slice(0, at);
    const unreachable = UNREACHABLE.exec(answer.replace(DOMAIN, ''))?.[1];
    if (unreachable !== undefined) {
      this.#fail(unreachable);
      return;
    }
    clearTimeout(question.limit);
    this.#question = undefined;
    question.resolve(answer);
  }

  #fail(why: string): void {
    this.#end(why);
    this.#child.kill();
  }

  #end(why: string): void {
    this.#ended ??= why.replace(/^error: /, '');
    if (this.#question === undefined) {
      return;
    }
    clearTimeout(this.#question.limit);
    this.#question.reject(new Error(this.#ended));
    this.#question = undefined;
  }
}
