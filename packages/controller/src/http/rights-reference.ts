/**
 * The page of rights, roles and routes: `node packages/controller/src/http/rights-reference.ts
 * --write docs/reference/rights.md`.
 */
import { writeFileSync } from 'node:fs';
import { RIGHTS, type Right, ROLE_NAMES, ROLES, WHOLE_RIGHTS } from '@mirrorplane/contract';
import type { Route } from './route.ts';
import { ROUTES } from './routes.ts';

/** What each right lets one do. */
const MEANINGS: Record<Right, string> = {
  read: 'read resources, states, counters and events',
  metrics: 'read `/metrics`',
  policy: 'make, change, test and delete policies',
  mirror: 'have interfaces mirrored: they become sources',
  send: 'send copies to an interface: it becomes a destination',
  packets: 'see packets: looks and findings',
  inventory: 'change domains, pools and declared interfaces',
  nodes: 'register and remove nodes, and make their join tokens',
  audit: 'read the audit log',
  access: 'manage users, API tokens and their grants',
};

const ABOUT: Record<NonNullable<Route['about']>, string> = {
  policy: 'the policy',
  interface: 'the interface',
  node: 'the node',
  pool: 'the pool',
  domain: 'the domain',
  look: 'the interfaces of the look',
  finding: 'both interfaces',
  cluster: 'the cluster: a grant with a scope does not give it',
  handler: 'each thing in the answer or in the request',
};

function needsOf({ needs, about }: Route): string {
  if (needs === 'nothing') {
    return '| nothing | |';
  }
  return needs === 'signIn' ? '| to be signed in | |' : `| \`${needs}\` | ${about === undefined ? '' : ABOUT[about]} |`;
}

/** The page as it is committed. */
export function rightsReference(): string {
  const mark = (has: boolean) => (has ? 'yes' : '');
  const rights = RIGHTS.map((right) => {
    const held = ROLE_NAMES.map((role) => mark((ROLES[role] as readonly Right[]).includes(right)));
    return `| \`${right}\` | ${MEANINGS[right]} | ${mark(!WHOLE_RIGHTS.has(right))} | ${held.join(' | ')} |\n`;
  });
  const routes = ROUTES.map((route) => `| \`${route.method.toUpperCase()} ${route.path}\` ${needsOf(route)}\n`).sort();
  return `# Rights

[Access](../access.md) explains roles and scopes. A request without the right is answered with 403 \`FORBIDDEN\`,
which names the right in \`params.right\`.

<!-- Made by: node packages/controller/src/http/rights-reference.ts --write docs/reference/rights.md -->

## Roles

| right | lets one | can have a scope | ${ROLE_NAMES.map((role) => `\`${role}\``).join(' | ')} |
| --- | --- | --- |${' --- |'.repeat(ROLE_NAMES.length)}
${rights.join('')}
## Routes

| route | needs | for |
| --- | --- | --- |
${routes.join('')}`;
}

if (import.meta.main) {
  const [option, file] = process.argv.slice(2);
  if (option !== '--write' || file === undefined) {
    process.stderr.write('usage: rights-reference.ts --write FILE\n');
    process.exitCode = 2;
  } else {
    writeFileSync(file, rightsReference());
  }
}
