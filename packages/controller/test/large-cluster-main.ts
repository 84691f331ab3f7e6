/**
 * A large cluster as a process of its own, for tests that run in a browser: it says where it is in
 * one line of JSON, and ends with its standard input. usage: large-cluster-main.ts POLICIES SOURCES NODES
 */
import { LargeCluster } from './large-cluster.ts';

const [policies, sources, nodes] = process.argv.slice(2).map(Number) as [number, number, number];
const cluster = await LargeCluster.start({ policies, sources, nodes });
const end = () => void cluster.close().then(() => process.exit(0));
process.on('SIGTERM', end).on('SIGINT', end);
process.stdin.on('end', end).resume();
const { pid, state, authorization } = cluster;
process.stdout.write(`${JSON.stringify({ pid, apiPort: state.apiPort, authorization })}\n`);
