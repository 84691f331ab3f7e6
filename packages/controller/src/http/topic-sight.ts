/** What one may see of the topics of the stream. */
import type { PolicySummary } from '@mirrorplane/contract';
import type { Judge } from '../access/judge.ts';
import type { Services } from '../services.ts';
import type { TopicSight } from '../streams/hub.ts';
import { SeenItems } from '../streams/items.ts';
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
    if (kind !== undefined) {
      return new SeenItems(items, (key) => judge.may('read', kind, key));
    }
    const policy = (name: string) => view.get('policies', name)?.value;
    const isWhole = (name: string) => policy(name) !== undefined && judge.seesWhole(policy(name)!);
    const part = (name: string) => {
      const found = at < 0 ? policy(name) : undefined;
      return found && partOfPolicy(found, judge);
    };
    const shown = (name: string, item: object) => {
      const sources = part(name)?.sources;
      return isWhole(name) ? item : sources && summaryOfPart(item as PolicySummary, sources.length);
    };
    return new SeenItems(items, (name) => isWhole(name) || part(name) !== undefined, shown);
  };
}
