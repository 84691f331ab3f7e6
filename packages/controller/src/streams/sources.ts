/** The topics that there are, and what each is made of. */
import type { DestinationSummary, NodeSummary } from '@mirrorplane/contract';
import type { Board } from '../summaries/board.ts';
import type { InterfaceEntry } from '../summaries/interfaces.ts';
import type { PolicyEntry } from '../summaries/policies.ts';

/** Gives all items of a topic by their keys. */
export type TopicSources = (topic: string) => () => ReadonlyMap<string, object>;

interface Boards {
  policies: Board<PolicyEntry>;
  interfaces: Board<InterfaceEntry>;
  nodes: Board<NodeSummary>;
  destinations: Board<DestinationSummary>;
}

/** Topics without a name behind them. */
const TOPICS = ['policies', 'nodes', 'destinations', 'interfaces', 'events'] as const;
/** Topics of one thing, with what stands behind the colon. */
const NAMED_TOPICS: Readonly<Record<string, string>> = {
  policy: 'NAME',
  interface: 'ID',
  node: 'NAME',
  destination: 'ID',
};
/** How each topic is written, for readers. */
export const TOPIC_FORMS: readonly string[] = [
  ...TOPICS,
  ...Object.entries(NAMED_TOPICS).map(([kind, key]) => `${kind}:${key}`),
];

/** Whether there is such a topic. */
export function isTopic(text: string): boolean {
  const [kind, ...name] = text.split(':');
  const isNamed = Object.hasOwn(NAMED_TOPICS, kind!) && name.join(':') !== '';
  return (TOPICS as readonly string[]).includes(text) || isNamed;
}

export function topicSources({ policies, interfaces, nodes, destinations }: Boards): TopicSources {
  const all: Record<string, () => ReadonlyMap<string, object>> = {
    policies: () => mapped(policies.items(), ({ summary }) => summary),
    interfaces: () => mapped(interfaces.items(), ({ summary }) => summary),
    nodes: () => nodes.items(),
    destinations: () => destinations.items(),
  };
  const one: Record<string, (name: string) => object | undefined> = {
    policy: (name) => {
      const entry = policies.items().get(name);
      return entry && { ...entry.summary, ...entry.detail };
    },
    interface: (id) => interfaces.items().get(id)?.summary,
    node: (name) => nodes.items().get(name),
    destination: (id) => destinations.items().get(id),
  };
  return (topic) => {
    const at = topic.indexOf(':');
    const [kind, name] = [topic.slice(0, at), topic.slice(at + 1)];
    if (at < 0) {
      return all[topic]!;
    }
    return () => {
      const item = one[kind]!(name);
      return new Map(item ? [[name, item]] : []);
    };
  };
}

function mapped<T>(items: ReadonlyMap<string, T>, of: (item: T) => object): Map<string, object> {
  return new Map([...items].map(([key, item]) => [key, of(item)]));
}
