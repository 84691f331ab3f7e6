/** What to do until the first packet is mirrored, for an installation that has no policy yet. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { NodeSummary } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { text } from '../text/index.ts';
import { Mark } from './marks.tsx';

const t = text.firstSteps;

export function FirstSteps({ nodes }: { nodes: readonly NodeSummary[] }): ReactNode {
  const domains = useList('domains', {});
  const pools = useList('pools', {});
  const interfaces = useList('interfaces', {});
  const steps: [done: boolean, title: string, how: string, link: ReactNode][] = [
    [
      domains.rows.length > 0,
      t.domain,
      t.domainHow,
      <Link key="d" to="/domains">
        {text.menu.domains}
      </Link>,
    ],
    [
      pools.rows.length > 0,
      t.pool,
      t.poolHow,
      <Link key="p" to="/pools">
        {text.menu.pools}
      </Link>,
    ],
    [
      nodes.length > 0,
      t.node,
      t.nodeHow,
      <Link key="n" to="/nodes">
        {text.menu.nodes}
      </Link>,
    ],
    [
      nodes.some(({ state }) => state !== 'disconnected'),
      t.agent,
      t.agentHow,
      <Link key="a" to="/nodes">
        {text.menu.nodes}
      </Link>,
    ],
    [
      interfaces.rows.length > 1,
      t.interfaces,
      t.interfacesHow,
      <Link key="i" to="/interfaces">
        {text.menu.interfaces}
      </Link>,
    ],
    [
      false,
      t.policy,
      t.policyHow,
      <Link key="c" to="/new-policy">
        {text.policies.create}
      </Link>,
    ],
  ];
  const next = steps.findIndex(([done]) => !done);
  return (
    <section className="panel" aria-labelledby="first-steps">
      <h2 id="first-steps">{t.title}</h2>
      <ol>
        {steps.map(([done, title, how, link], index) => (
          <li key={title} aria-current={index === next ? 'step' : undefined} style={{ marginBottom: 8 }}>
            <Mark tone={done ? 'good' : 'quiet'} sign={done ? '✓' : '○'}>
              <strong>{title}</strong>
            </Mark>
            {done && <span className="hidden-text">{t.done}</span>}
            {index === next && (
              <div>
                {how} {link}
              </div>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
