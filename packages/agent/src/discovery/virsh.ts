/** The command `virsh`, as the client of libvirt: one process listens to events, some answer questions. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { reason } from '../log.ts';
import { type Domain, type DomainState, guestState, parseDomain } from './libvirt-domain.ts';
import { DOMAIN, VirshShell, virshEnvironment, virshOptions } from './virsh-shell.ts';

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
  readonly #listeners = new Set<ChildProcess>();
  #shells: VirshShell[] = [];

  constructor(uri: string) {
    this.#uri = uri;
  }

  /**
   * Tells every line about an event.
   * @param ended called once, with the reason, when there will be no more
   */
  listen(line: (line: string) => void, ended: (why: string) => void): void {
    // The agent may be killed: the kernel then ends a process that would listen for ever.
    const argv = ['--pdeathsig', 'TERM', '--', 'virsh', ...virshOptions(this.#uri), 'event', '--loop', '--all'];
    const child = spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'pipe'], env: virshEnvironment() });
    this.#listeners.add(child);
    let complaints = '';
    createInterface({ input: child.stdout! }).on('line', line);
    child.stderr!.setEncoding('utf8').on('data', (part: string) => {
      complaints += part;
    });
    const over = (why: string) => {
      if (this.#listeners.delete(child)) {
        ended(why);
      }
    };
    child.once('error', (error) => over(error.message));
    child.once('close', () => over(errorIn(complaints) ?? (complaints.trim() || 'virsh event has ended')));
  }

  /** UUIDs of the domains. @throws Error with what virsh says */
  async uuids(which: 'all' | 'active'): Promise<string[]> {
    const answer = await this.#ask([which === 'all' ? 'list --all --uuid' : 'list --uuid']);
    const error = errorIn(answer);
    if (error !== undefined) {
      throw new Error(error);
    }
    return answer.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/gm) ?? [];
  }

  /**
   * Reads domains, one after the other. One that goes while it is read is `gone`.
   * @param names UUIDs, or names without quotes and spaces
   * @throws Error with what virsh says, where it reaches no libvirt
   */
  async domains(names: readonly string[]): Promise<Reading> {
    const reading: Reading = { domains: [], gone: [], failed: new Map() };
    for (const name of names) {
      const answer = await this.#ask([`domstats --state ${name}`, `dumpxml ${name}`]);
      try {
        const domain = parseAnswer(answer);
        if (domain !== undefined) {
          reading.domains.push(domain);
        } else if (answer.includes(`failed to get domain '${name}'`)) {
          reading.gone.push(name);
        } else {
          reading.failed.set(name, errorIn(answer) ?? 'virsh says nothing of it');
        }
      } catch (error) {
        reading.failed.set(name, reason(error));
      }
    }
    return reading;
  }

  /** Ends every process that runs. Questions that wait for an answer are rejected. */
  close(): void {
    for (const child of this.#listeners) {
      child.kill();
    }
    for (const shell of this.#shells) {
      shell.close();
    }
    this.#shells = [];
  }

  /** Asks one that has nothing to do, or a new one. Of those that have nothing to do then, one is kept. */
  async #ask(commands: readonly string[]): Promise<string> {
    let shell = this.#shells.find(({ idle }) => idle);
    if (shell === undefined) {
      shell = new VirshShell(this.#uri);
      this.#shells.push(shell);
    }
    try {
      return await shell.ask(commands);
    } finally {
      const idle = this.#shells.filter((other) => other.idle);
      for (const spare of idle.slice(1)) {
        spare.close();
      }
      this.#shells = this.#shells.filter(({ ended }) => !ended);
    }
  }
}

/** The answer about one domain: its state, then its XML. Undefined where it is not whole. */
function parseAnswer(answer: string): Domain | undefined {
  const [xml] = DOMAIN.exec(answer) ?? [];
  if (xml === undefined) {
    return undefined;
  }
  const before = answer.slice(0, answer.indexOf(xml));
  const number = (key: string) => Number(new RegExp(`^\\s*state\\.${key}=(\\d+)$`, 'm').exec(before)?.[1] ?? 0);
  const state: DomainState = { state: number('state'), reason: number('reason') };
  return parseDomain(xml, guestState(state));
}

function errorIn(answer: string): string | undefined {
  return /^error: (.*)$/m.exec(answer)?.[1];
}
