/** Files of a data directory that a store has. */
import path from 'node:path';

/** The file of an embedded store. */
export const storeFile = (data: string) => path.join(data, 'store.db');

/** The key of what controllers share in etcd. */
export const clusterKeyFile = (data: string) => path.join(data, 'cluster.key');
