/** What one may see of the topics of the stream. */
import type { PolicySummary } from '@mirrorplane/contract';
import type { Judge } from '../access/judge.ts';
import type { Services } from '../services.ts';
import type { TopicSight } from '../streams/hub.ts';
import { summaryOfPart } from '../summaries/policies.ts';
import { partOfPolicy } from './policy-part.ts';

const KINDS: Readonly<Record<string, 'interface' | 'node'>> = {
  interfaces: 'interface',
  destinations: 'interface',
  interface: 'interface',
  destination: 'interface',
  nodes: 'node',
  node: 'node',
};

/** Undefined: everything. */
export function topicSight(judge: Judge, { view }: Services): TopicSight | undefined {
  if (judge.everywhere('read')) {
    return undefined;
  }
  return (topic, items) => {
    const at = topic.indexOf(':');
    const kind = KINDS[at < 0 ? topic : topic.slice(0, at)];
    const seen = [...items].flatMap(([key, item]): [string, object][] => {
      if (kind !== undefined) {
        return judge.may('read', kind, key) ? [[key, item]] : [];
      }
      const policy = view.get('policies', key)?.value;
      if (policy && judge.seesWhole(policy)) {
        return [[key, item]];
      }
      const part = at < 0 && policy !== undefined ? partOfPolicy(policy, judge) : undefined;
      return part ? [[key, summaryOfPart(item as PolicySummary, part.sources.length)]] : [];
    });
    return new Map(seen);
  };
}
