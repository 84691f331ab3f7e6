/** A declared cluster: interfaces without devices. The API needs no more. */

/** Two nodes in one pool, one in a pool of another domain. */
export const CLUSTER = `
kind: Interface
id: uplink-1
edge: { node: node-1, device: eth1, allowedVlans: [100, 200-202] }
---
kind: Interface
id: uplink-2
edge: { node: node-2, mac: '02:00:00:00:00:01' }
---
kind: Node
name: node-1
pool: rack-1
---
kind: Node
name: node-2
pool: rack-1
---
kind: Node
name: node-9
pool: rack-9
---
kind: Pool
name: rack-1
domain: blue
---
kind: Pool
name: rack-9
domain: red
---
kind: Domain
name: blue
---
kind: Domain
name: red
description: another one
${['web-1/0', 'web-2/0', 'web-3/0', 'db-1/0', 'ids-1/0', 'ids-2/0']
  .map((id) => `---\n{kind: vm, id: ${id}, name: ${id.replace('/', ' eth')}, pool: rack-1}\n`)
  .join('')}`;
