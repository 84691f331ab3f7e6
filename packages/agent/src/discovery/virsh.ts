/** The command `virsh`, as the client of libvirt: one process that listens to events, others that read. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { reason } from '../log.ts';
import { type Domain, type DomainState, guestState, parseDomain } from './libvirt-domain.ts';

/** Domains that one process reads. */
const CHUNK = 50;
/** Milliseconds that a process may take: libvirt locks a domain for seconds at the end of its migration. */
const READ_LIMIT = 60_000;
/** Stands between the answers about two domains. */
const MARK = '<!--mirrorplane-->';

/** What a reading of domains gave. */
export interface Reading {
  domains: Domain[];
  /** UUIDs or names that libvirt does not know. */
  gone: string[];
  /** Why others could not be read, by UUID or name. */
  failed: Map<string, string>;
}

/** Calls `virsh` with one connection URI. */
export class Virsh {
  readonly #uri: string;
  readonly #children = new Set<ChildProcess>();

  constructor(uri: string) {
    this.#uri = uri;
  }

  /**
   * Tells every line about an event.
   * @param ended called once, with the reason, when there will be no more
   */
  listen(line: (line: string) => void, ended: (why: string) => void): void {
    const child = this.#spawn(['event', '--loop', '--all']);
    createInterface({ input: child.stdout! }).on('line', line);
    const complaints = collect(child.stderr!);
    child.once('error', (error) => ended(error.message));
    child.once('close', () => ended(firstLine(complaints()) || 'virsh event has ended'));
  }

  /** UUIDs of the domains. @throws Error with what virsh says */
  async uuids(which: 'all' | 'active'): Promise<string[]> {
    const { output } = await this.#read(which === 'all' ? 'list --all --uuid' : 'list --uuid');
    return output
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  }

  /**
   * Reads domains. One that goes while it is read is `gone`.
   * @param names UUIDs, or names without quotes and spaces
   * @throws Error with what virsh says, where it reaches no libvirt
   */
  async domains(names: readonly string[]): Promise<Reading> {
    const reading: Reading = { domains: [], gone: [], failed: new Map() };
    for (let from = 0; from < names.length; from += CHUNK) {
      const chunk = names.slice(from, from + CHUNK);
      const commands = chunk.map((name) => `domstats --state ${name}; dumpxml ${name}`);
      const { output, complaints } = await this.#read(commands.join(`; echo '${MARK}'; `));
      const parts = output.split(MARK);
      chunk.forEach((name, index) => {
        try {
          const domain = parseAnswer(parts[index] ?? '');
          if (domain !== undefined) reading.domains.push(domain);
          else if (complaints.includes(`failed to get domain '${name}'`)) reading.gone.push(name);
          else reading.failed.set(name, firstLine(complaints) || 'virsh says nothing of it');
        } catch (error) {
          reading.failed.set(name, reason(error));
        }
      });
    }
    return reading;
  }

  /** Ends every process that runs. */
  close(): void {
    for (const child of this.#children) child.kill();
  }

  async #read(commands: string): Promise<{ output: string; complaints: string }> {
    const child = this.#spawn([commands]);
    const output = collect(child.stdout!);
    const complaints = collect(child.stderr!);
    const limit = setTimeout(() => child.kill(), READ_LIMIT);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      });
      // A domain that went in the meantime is no failure of the others.
      if (code !== 0 && !complaints().includes('failed to get domain')) {
        throw new Error(firstLine(complaints()) || 'virsh did not answer');
      }
      return { output: output(), complaints: complaints() };
    } finally {
      clearTimeout(limit);
    }
  }

  /** The parent may be killed: setpriv lets the kernel end the child with it. */
  #spawn(args: string[]): ChildProcess {
    const argv = ['--pdeathsig', 'TERM', '--', 'virsh', '--readonly', '--quiet', '--connect', this.#uri, ...args];
    const child = spawn('setpriv', argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', VIRSH_HISTSIZE: '0' },
    });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }
}

/** The answer about one domain: its state, then its XML. Undefined where it is not whole. */
function parseAnswer(answer: string): Domain | undefined {
  const number = (key: string) => Number(new RegExp(`^\\s*state\\.${key}=(\\d+)$`, 'm').exec(answer)?.[1] ?? 0);
  const from = answer.indexOf('<domain');
  if (from < 0) return undefined;
  const state: DomainState = { state: number('state'), reason: number('reason') };
  return parseDomain(answer.slice(from), guestState(state));
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => {
    text += part;
  });
  return () => text;
}

function firstLine(text: string): string {
  return (text.trim().split('\n')[0] ?? '').replace(/^error: /, '');
}
