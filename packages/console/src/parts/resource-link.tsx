/** Ways to the pages of what events and the audit log name. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { Data } from './marks.tsx';

/** The way to an object, where it has a page. */
export function ObjectLink({ kind, name }: { kind: string; name: string }): ReactNode {
  if (kind === 'policy') {
    return (
      <Link to="/policies/$name" params={{ name }} translate="no">
        {name}
      </Link>
    );
  }
  if (kind === 'node') {
    return (
      <Link to="/nodes/$name" params={{ name }} translate="no">
        {name}
      </Link>
    );
  }
  if (kind === 'interface') {
    return (
      <Link to="/interfaces/$id" params={{ id: name }} translate="no">
        {name}
      </Link>
    );
  }
  return <Data>{name}</Data>;
}

const KINDS: Record<string, string> = { policies: 'policy', nodes: 'node', interfaces: 'interface' };

/** The same of a resource as the audit log writes it: `policies/ids-all`. */
export function ResourceLink({ resource }: { resource: string }): ReactNode {
  const at = resource.indexOf('/');
  const kind = KINDS[resource.slice(0, Math.max(0, at))];
  if (kind === undefined) {
    return <Data>{resource}</Data>;
  }
  return (
    <>
      <Data>{resource.slice(0, at + 1)}</Data>
      <ObjectLink kind={kind} name={resource.slice(at + 1)} />
    </>
  );
}
