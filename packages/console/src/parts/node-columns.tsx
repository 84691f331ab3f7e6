/** The columns of nodes. */
import { Link } from '@tanstack/react-router';
import type { NodeSummary } from '../api/types.ts';
import { text } from '../text/index.ts';
import { Data, Mark, NodeMark, Unknown } from './marks.tsx';
import { WithReasons } from './reasons.tsx';
import type { Column } from './table.tsx';

const t = text.nodes;

export const NODE_COLUMNS: readonly Column<NodeSummary>[] = [
  {
    key: 'name',
    header: t.name,
    width: 'minmax(80px,1fr)',
    sort: 'name',
    cell: ({ name }) => (
      <Link to="/nodes/$name" params={{ name }} tabIndex={-1} translate="no">
        {name}
      </Link>
    ),
  },
  {
    key: 'pool',
    header: t.poolShort,
    width: 'minmax(80px,1fr)',
    sort: 'pool',
    cell: ({ pool }) => <Data>{pool}</Data>,
  },
  {
    key: 'agent',
    header: t.agent,
    width: 'minmax(110px,1fr)',
    sort: 'state',
    cell: ({ state }) => <NodeMark state={state} />,
  },
  {
    key: 'kernel',
    header: t.kernel,
    width: 'minmax(90px,1fr)',
    cell: ({ kernel }) => (kernel === undefined ? <Unknown /> : <Data>{kernel}</Data>),
  },
  {
    key: 'hook',
    header: t.hook,
    width: '56px',
    cell: ({ hook }) => (hook === undefined ? <Unknown /> : <Data>{hook}</Data>),
  },
  {
    key: 'problems',
    header: t.problems,
    width: 'minmax(100px,1fr)',
    sort: 'problemCount',
    cell: ({ name, problems, problemCount }) =>
      problemCount === 0 ? (
        <span className="quiet">{t.noProblems}</span>
      ) : (
        <WithReasons reasons={problems} label={t.problemsOf(name)}>
          <Mark tone="warn" sign="▲">
            {t.problemCount(problemCount)}
          </Mark>
        </WithReasons>
      ),
  },
];
