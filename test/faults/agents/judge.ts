/** Judges what agents have accepted: nothing of a deposed leader, and nothing that was never committed. */
import type { Commit } from '../world/observer.ts';
import { type AgentReport, type PolicyText, policyText } from './report.ts';

/** The fields of a policy that a program has too. */
export interface PolicyFields {
  uid: string;
  enabled: boolean;
  percent: number;
  direction: string;
  sources: readonly string[];
}

/** @returns what is wrong, each with what is needed to understand it. Empty: all is well */
export function judgeAgents(reports: readonly AgentReport[], commits: readonly Commit[]): string[] {
  const states = statesOf(commits);
  const problems: string[] = [];
  for (const [node, own] of Map.groupBy(reports, (report) => report.node)) {
    const agent = new JudgedAgent(states);
    for (const report of own) {
      problems.push(...agent.take(report).map((problem) => `${node}: ${problem}`));
    }
  }
  return problems;
}

/** What a program has of a policy in force. Undefined: it has nothing. */
export function textOf({ enabled, percent, direction, sources }: PolicyFields): PolicyText | undefined {
  return enabled ? policyText(percent, direction, sources) : undefined;
}

/** What each policy was, in the order of commits, by uid. */
function statesOf(commits: readonly Commit[]): Map<string, (PolicyText | undefined)[]> {
  const policies = commits.filter(({ key, value }) => key.startsWith('policies/') && value !== undefined);
  const byUid = Map.groupBy(policies, ({ value }) => (value as PolicyFields).uid);
  return new Map([...byUid].map(([uid, all]) => [uid, all.map(({ value }) => textOf(value as PolicyFields))]));
}

class JudgedAgent {
  readonly #states: ReadonlyMap<string, (PolicyText | undefined)[]>;
  /** The earliest commit of each policy that the newest program can be of. */
  readonly #at = new Map<string, number>();
  #highestTerm = 0;
  /** Of this connection. Undefined: no leader has named itself. */
  #term: number | undefined;
  #revision = 0;

  constructor(states: ReadonlyMap<string, (PolicyText | undefined)[]>) {
    this.#states = states;
  }

  take(report: AgentReport): string[] {
    switch (report.kind) {
      case 'started':
        return report.term < this.#highestTerm
          ? [`it has forgotten the leader of term ${this.#highestTerm}, and knows that of ${report.term}`]
          : [];
      case 'connected':
        this.#term = undefined;
        return [];
      case 'leader':
        this.#term = report.term;
        return [];
      case 'program':
        return [...this.#judgeTerm(report.revision), ...this.#judgePolicies(report)];
    }
  }

  #judgeTerm(revision: number): string[] {
    const problems: string[] = [];
    if (this.#term === undefined) {
      problems.push(`program ${revision} came before a leader has named itself`);
    } else if (this.#term < this.#highestTerm) {
      problems.push(
        `program ${revision} of the leader of term ${this.#term} came after one of term ${this.#highestTerm}`,
      );
    }
    this.#highestTerm = Math.max(this.#highestTerm, this.#term ?? 0);
    if (revision < this.#revision) {
      problems.push(`program ${revision} came after program ${this.#revision}`);
    }
    this.#revision = Math.max(this.#revision, revision);
    return problems;
  }

  #judgePolicies({ revision, policies }: Extract<AgentReport, { kind: 'program' }>): string[] {
    return Object.entries(policies).flatMap(([uid, text]) => {
      const states = this.#states.get(uid) ?? [];
      const from = this.#at.get(uid) ?? 0;
      const at = states.indexOf(text, from);
      if (at >= 0) {
        this.#at.set(uid, at);
        return [];
      }
      const before = states.lastIndexOf(text) >= 0 ? 'any more' : 'at any time';
      return [`program ${revision} has policy ${uid} as ${text}, which it was not ${before}`];
    });
  }
}
