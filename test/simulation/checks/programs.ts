/** What agents are told and what they confirm: revisions grow, and what is confirmed is in force. */
import type { DatapathState } from '@mirrorplane/agent/testing/control';
import { emptyProgram, type NodeProgram, type ProgramDifference, UNPLANNED_REVISION } from '@mirrorplane/contract';
import { programDigest } from '@mirrorplane/contract/program-digest';
import type { Host } from '../world/host.ts';
import type { Wiretap } from '../world/network.ts';
import type { World } from '../world/world.ts';
import { Violation } from './violation.ts';

const PROGRAM = '{"type":"program",';
const DIFFERENCE = '{"type":"programDifference",';
/** In the last program of a node that was cut off, which says nothing of a plan. */
const EMPTY = `"revision":${UNPLANNED_REVISION},`;
const LEADER = '{"type":"leader"';
const STATUS = '{"type":"status"';
/** The problem of a node whose disk does not have its program. */
const UNSAVED = 'PROGRAM_UNSAVED';
/** Milliseconds after a pause of a process for which its saves may be late. */
const STALLED_MS = 2000;

interface Problem {
  code: string;
}

/** What a host has been told. */
interface Told {
  /** By revision, with what its kernel has then. */
  signatures: Map<number, string>;
  texts: Map<string, string>;
  /** By revision and digest: programs that a difference may be made of. */
  programs: Map<string, NodeProgram>;
  /** The highest confirmed revision. */
  confirmed: number;
}

export class ProgramWatch implements Wiretap {
  readonly #world: World;
  readonly #told = new Map<string, Told>();
  violation: Violation | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** The host has another disk, or was dismissed: what it has confirmed counts no more. */
  forget(host: Host): void {
    const told = this.#of(host.name);
    told.confirmed = 0;
    told.signatures.clear();
  }

  received(from: string, to: string, text: string): void {
    if (text.startsWith(PROGRAM)) {
      const { program } = JSON.parse(text) as { program: NodeProgram };
      this.#note(() => this.#program(from, to, program));
    } else if (text.startsWith(DIFFERENCE)) {
      const { difference } = JSON.parse(text) as { difference: ProgramDifference };
      this.#note(() => this.#program(from, to, this.#whole(to, difference)));
    }
  }

  taken(to: string, text: string, isOpen: boolean): void {
    if (isOpen && text.startsWith(LEADER)) {
      this.#world.host(to)?.obeys();
    }
  }

  sent(from: string, to: string, text: string): void {
    const { clusters, scheduler } = this.#world;
    if (clusters && (text.startsWith(DIFFERENCE) || (text.startsWith(PROGRAM) && !text.includes(EMPTY)))) {
      this.#note(() => {
        const wrong = clusters.tells(scheduler.current);
        if (wrong) {
          throw new Violation(wrong);
        }
      });
    }
    if (text.startsWith(STATUS)) {
      const { appliedRevision, problems } = JSON.parse(text) as { appliedRevision: number; problems: Problem[] };
      const codes = problems.map(({ code }) => code);
      const words = ['confirms revision', appliedRevision, 'to', to, ...codes].join(' ');
      this.#world.trace.add(this.#world.scheduler.now, from, () => words);
      this.#note(() => this.#confirms(this.#world.host(from)!, appliedRevision, codes.includes(UNSAVED)));
    }
  }

  /** Another state is in force at a host. It must not be an older one than it has confirmed. */
  inForce(host: Host): void {
    const { confirmed } = this.#of(host.name);
    const { state } = host.kernel;
    const isEmpty = state.captures.length + state.deliveries.length + state.terminations.length === 0;
    if (confirmed > 0 && !isEmpty && !host.kernel.isBetween && this.newestOf(host) < confirmed) {
      this.violation ??= new Violation(
        `${host.name} runs something older than revision ${confirmed}, which it has confirmed`,
      );
    }
  }

  /** What a difference makes of the program that it names, put together without the code of the product. */
  #whole(to: string, { base, result, own, parts, gone }: ProgramDifference): NodeProgram {
    const isOwn = base.revision === UNPLANNED_REVISION;
    const before = isOwn ? emptyProgram(to, 0) : this.#of(to).programs.get(`${base.revision} ${base.digest}`);
    if (!before) {
      throw new Violation(`${to} is told a difference to revision ${base.revision}, which it was not told`);
    }
    const ended = new Set([...gone, ...parts.map(({ policy }) => policy)]);
    const list = <T extends { policy: string }>(earlier: readonly T[], now: readonly T[]): T[] =>
      // A stable sort: what is of one policy keeps its order.
      [...earlier.filter(({ policy }) => !ended.has(policy)), ...now].sort((a, b) => byText(a.policy, b.policy));
    return {
      ...(own ?? before),
      revision: result.revision,
      captures: list(
        before.captures,
        parts.flatMap(({ captures }) => captures),
      ),
      deliveries: list(
        before.deliveries,
        parts.flatMap(({ deliveries }) => deliveries),
      ),
      terminations: list(
        before.terminations,
        parts.flatMap(({ terminations }) => terminations),
      ),
    };
  }

  #program(from: string, to: string, program: NodeProgram): void {
    const { revision } = program;
    const told = this.#of(to);
    const text = JSON.stringify(program);
    told.programs.set(`${revision} ${programDigest(program)}`, program);
    this.#world.trace.add(this.#world.scheduler.now, to, () => `is told by ${from}: ${wordsOf(program)}`);
    const { uid, generation } = this.#world.host(to)!.membership!;
    const key = `${uid} ${generation} ${revision}`;
    if ((told.texts.get(key) ?? text) !== text) {
      throw new Violation(`${to} is told two programs with revision ${revision}`);
    }
    told.texts.set(key, text);
    if (revision !== UNPLANNED_REVISION) {
      told.signatures.set(revision, signatureOf(program));
    }
    if (revision < told.confirmed && revision !== UNPLANNED_REVISION) {
      throw new Violation(`${to} is told revision ${revision} after it has confirmed ${told.confirmed}`);
    }
  }

  /** @param isUnsaved it says that it could not store the program */
  #confirms(host: Host, revision: number, isUnsaved: boolean): void {
    const told = this.#of(host.name);
    if (revision === UNPLANNED_REVISION) {
      this.forget(host); // It was dismissed.
    }
    if (!told.signatures.has(revision)) {
      return;
    }
    // A hello may come between two writes of the next program: it says what was in force before.
    if (!host.kernel.isBetween && this.newestOf(host) < revision) {
      throw new Violation(`${host.name} confirms revision ${revision}, and its kernel runs something else`);
    }
    const stored = storedRevision(host);
    host.mayBeBack = false;
    if (stored >= revision) {
      host.untold = false;
      told.confirmed = Math.max(told.confirmed, revision);
      return;
    }
    host.untold ||= !isUnsaved;
    if (!this.#mayBeUnsaved(host) && !host.disk.lies && !isUnsaved) {
      throw new Violation(`${host.name} confirms revision ${revision}, and its disk has ${stored}`);
    }
  }

  /** The agent waits for a save for a second at most, and an agent without CPU for no time at all. */
  #mayBeUnsaved({ agent }: Host): boolean {
    const { now } = this.#world.scheduler;
    return agent !== undefined && now - agent.stalledUntil < STALLED_MS && agent.stalledUntil > 0;
  }

  /** The newest program that the kernel of a host may run. */
  newestOf(host: Host): number {
    const signature = signatureOf(host.kernel.state);
    const { signatures } = this.#of(host.name);
    return Math.max(-1, ...[...signatures].flatMap(([revision, one]) => (one === signature ? [revision] : [])));
  }

  #of(name: string): Told {
    const told = this.#told.get(name) ?? { signatures: new Map(), texts: new Map(), programs: new Map(), confirmed: 0 };
    this.#told.set(name, told);
    return told;
  }

  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.violation ??= error as Violation;
    }
  }
}

type Parts = Pick<NodeProgram, 'deliveries' | 'terminations'> & {
  captures: { id: string; policy: string; source: string }[];
};

/** What a program and the state of a kernel have in common. */
export function signatureOf(of: NodeProgram | DatapathState): string {
  const { captures, deliveries, terminations } = of as Parts;
  const sorted = (texts: string[]) => [...new Set(texts)].sort().join();
  return [
    sorted(captures.map(({ policy, source }) => `${policy}/${source}`)),
    sorted(
      deliveries.map((one) => `${one.id} ${one.kind === 'erspan' ? `${one.address} ${numberOf(one)}` : one.kind}`),
    ),
    sorted(terminations.map((one) => `${one.id} ${one.address} ${numberOf(one)}`)),
  ].join('; ');
}

function numberOf({ session, generation, secret }: { session: number; generation: number; secret?: number }): string {
  return `${session}.${generation}.${secret}`;
}

function wordsOf({ revision, captures, deliveries, terminations }: NodeProgram): string {
  const sent = deliveries.map((one) =>
    one.kind === 'erspan' ? `${one.id} as ${numberOf(one)}` : `${one.id} at ${one.interface}`,
  );
  const received = terminations.map((one) => `${one.id} from ${one.node} as ${numberOf(one)} to ${one.delivery}`);
  const taken = captures.map(({ id, delivery }) => `${id} to ${delivery}`);
  return `revision ${revision}, captures [${taken.join()}], deliveries [${sent.join()}], terminations [${received.join()}]`;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Revision of the program that is on the disk of a host itself. 0: there is none, or its file is torn. */
export function storedRevision({ disk }: Host): number {
  try {
    return (JSON.parse(disk.readDurable('/agent/program.json') ?? '') as NodeProgram).revision;
  } catch {
    return 0;
  }
}
