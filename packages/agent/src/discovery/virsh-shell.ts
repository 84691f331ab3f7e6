/** A `virsh` that stays and answers one question after the other: a process for each would take the longest part of it. */
import { type ChildProcess, spawn } from 'node:child_process';

/** Milliseconds that an answer may take: libvirt locks a domain for seconds at the end of its migration. */
const ANSWER_LIMIT_MS = 60_000;
/** What virsh says when it reaches no libvirt, in the language C. */
const UNREACHABLE = /^error: (.*(?:failed to connect|Disconnected from|client socket is closed|Cannot recv data).*)$/m;

/** The XML of a domain, whose texts may hold any line but its own end. */
export const DOMAIN = /^<domain[\s\S]*^<\/domain>$/m;

/** The environment in which virsh speaks the language of programs, and leaves no history behind. */
export function virshEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', TERM: 'dumb', INPUTRC: '/dev/null', XDG_CACHE_HOME: '/dev/null' };
}

/** The options with which every virsh is called: it only reads. */
export function virshOptions(uri: string): string[] {
  return ['--readonly', '--quiet', '--connect', uri];
}

interface Question {
  mark: string;
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
  limit: NodeJS.Timeout;
}

/** One process. It ends with its standard input, so with us. */
export class VirshShell {
  readonly #child: ChildProcess;
  #output = '';
  #question: Question | undefined;
  #asked = 0;
  #ended: string | undefined;

  constructor(uri: string) {
    // What goes wrong must stand where it belongs among the answers.
    const argv = ['-c', 'exec virsh "$@" 2>&1', 'sh', ...virshOptions(uri)];
    this.#child = spawn('sh', argv, { stdio: ['pipe', 'pipe', 'ignore'], env: virshEnvironment() });
    this.#child.stdout!.setEncoding('utf8').on('data', (part: string) => this.#receive(part));
    // A write to one that has just ended: its end is told anyway.
    this.#child.stdin!.on('error', () => undefined);
    this.#child.once('error', (error) => this.#end(error.message));
    this.#child.once('close', () => this.#end(this.#output.trim().split('\n').at(-1) || 'virsh has ended'));
  }

  /** It may be asked: it lives, and is not answering. */
  get idle(): boolean {
    return this.#ended === undefined && this.#question === undefined;
  }

  /** It can be asked no more. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /**
   * Runs commands, and gives what they print, with the commands and complaints among it. To be called while it is idle.
   * @throws Error where virsh has ended, or reaches no libvirt
   */
  ask(commands: readonly string[]): Promise<string> {
    const mark = `<!--answer-${++this.#asked}-->`;
    // Broken in two, so that the echo of the command is not taken for its output.
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
