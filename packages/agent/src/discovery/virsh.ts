/**
 * Uses `virsh` as the client of libvirt. One process listens to events, and others answer
 * questions.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { reason } from '../log.ts';
import type { Domain, DomainState } from './libvirt-domain.ts';
import { DOMAIN, VirshShell, virshEnvironment, virshOptions } from './virsh-shell.ts';

/** The result of reading domains. */
export interface Reading {
  domains: Domain[];
  /** UUIDs or names without a domain. */
  gone: string[];
  /** Why other domains could not be read, by UUID or name. */
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
   * Listens to events. Calls `line` with every line.
   * @param ended called once at the end, with the reason
   */
  listen(line: (line: string) => void, ended: (why: string) => void): void {
    // If the agent is killed, the kernel ends this process, which would otherwise run for ever.
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

  /** UUIDs of the domains. @throws Error with the message of virsh */
  async uuids(which: 'all' | 'active'): Promise<string[]> {
    const answer = await this.#ask([which === 'all' ? 'list --all --uuid' : 'list --uuid']);
    const error = errorIn(answer);
    if (error !== undefined) {
      throw new Error(error);
    }
    return answer.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/gm) ?? [];
  }

  /**
   * Reads domains one after the other. A domain that is removed meanwhile is `gone`.
   * @param names UUIDs, or names without quotes and spaces
   * @throws Error with the message of virsh, if it has no connection to libvirt
   */
  async domains(names: readonly string[]): Promise<Reading> {
    const reading: Reading = { domains: [], gone: [], failed: new Map() };
    for (const name of names) {
      const answer = await this.#ask([`domstats --state ${name}`, `dumpxml ${name}`]);
      try {
        const domain = await parseAnswer(answer);
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

  /** Ends all processes. Waiting questions are rejected. */
  close(): void {
    for (const child of this.#listeners) {
      child.kill();
    }
    for (const shell of this.#shells) {
      shell.close();
    }
    this.#shells = [];
  }

  /** Uses an idle process or a new one. Afterwards only one idle process is kept. */
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

/** Reads the answer about one domain: its state, then its XML. Undefined if it is incomplete. */
async function parseAnswer(answer: string): Promise<Domain | undefined> {
  const [xml] = DOMAIN.exec(answer) ?? [];
  if (xml === undefined) {
    return undefined;
  }
  const before = answer.slice(0, answer.indexOf(xml));
  const number = (key: string) => Number(new RegExp(`^\\s*state\\.${key}=(\\d+)$`, 'm').exec(before)?.[1] ?? 0);
  const state: DomainState = { state: number('state'), reason: number('reason') };
  // Only where there are domains: the parser of XML takes memory.
  const { guestState, parseDomain } = await import('./libvirt-domain.ts');
  return parseDomain(xml, guestState(state));
}

function errorIn(answer: string): string | undefined {
  return /^error: (.*)$/m.exec(answer)?.[1];
}
