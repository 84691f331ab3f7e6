/**
 * Daemons and tools that bin/mirrorplane starts itself, without this command tree: name and
 * description.
 */
export const DISPATCHED = [
  ['up', 'controller and agent for this host in one process'],
  ['controller', 'the controller daemon'],
  ['agent', 'the agent daemon of a node'],
  ['store', 'copy, back up and restore the store of a controller'],
  ['lab', 'a test cluster on this machine'],
] as const;
