/** The names of all rights, apart from their schema, which takes long to load. */

/** What one may do. Each right is one thing. */
export const RIGHTS = [
  'read',
  'metrics',
  'policy',
  'mirror',
  'send',
  'packets',
  'inventory',
  'nodes',
  'audit',
  'access',
] as const;
