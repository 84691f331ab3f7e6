/**
 * `make fuzz SEED=7 MINUTES=10`: bad requests for the API and bad messages of an agent, others than
 * those of `make test`. ONLY=api or ONLY=agents does one of both, and CASE=123 one case again.
 */
import { AgentConnection, enrol } from './agent.ts';
import { fuzzAgents } from './hostile.ts';
import { type Api, readApi } from './openapi.ts';
import { fuzzApi, refusedAgain } from './run.ts';
import { Target } from './target.ts';
import { Witness } from './witness.ts';

const number = (name: string) => (process.env[name] ? Number(process.env[name]) : undefined);
const seed = number('SEED') ?? Math.floor(Math.random() * 2 ** 31);
const minutes = number('MINUTES') ?? 10;
const one = number('CASE');
const only = process.env.ONLY;
/** Cases after which the memory is looked at for the first time. */
const WARM_UP = 5000;

/** Goes on for a share of the time, or does one case. */
function during(share: number): { seed: number; from: number; goesOn: (index: number) => boolean } {
  const end = Date.now() + minutes * share * 60_000;
  return { seed, from: one ?? 0, goesOn: (index) => (one === undefined ? Date.now() < end : index === one) };
}

async function api(target: Target, document: Api, share: number): Promise<string[]> {
  const tally = await fuzzApi(target, document, during(share));
  console.log(`api: ${tally.cases} cases, answers ${JSON.stringify(Object.fromEntries([...tally.statuses].sort()))}`);
  for (const [route, cases] of [...tally.routes].sort()) {
    console.log(`  ${String(cases).padStart(7)}  ${route}`);
  }
  return [...tally.failures, ...(target.isRunning ? await refusedAgain(target) : [])];
}

async function agents(target: Target, document: Api, share: number): Promise<string[]> {
  await target.fill();
  const honest = await AgentConnection.open(target.agentPort, '/sync', await enrol(target, 'node-1'));
  honest.send(JSON.stringify({ type: 'hello', protocol: 1, node: 'node-1', agentVersion: '0', kernel: '6' }));
  const tally = await fuzzAgents(target, document, () => enrol(target, 'node-2'), during(share));
  const stayed = honest.isOpen;
  honest.end();
  console.log(`agents: messages ${JSON.stringify([...tally.kinds])}, closed with ${JSON.stringify([...tally.codes])}`);
  return [...tally.failures, ...(stayed ? [] : ['the agent of another node was disconnected'])];
}

console.log(`fuzz with seed ${seed}, ${minutes} minutes`);
const document = readApi();
const target = await Target.start();
const failures: string[] = [];
try {
  if (one === undefined) {
    await fuzzApi(target, document, { seed: seed + 1, goesOn: (index) => index < WARM_UP });
  }
  const memory = target.memory;
  const witness = new Witness(target);
  const share = only === undefined ? 0.5 : 1;
  failures.push(...(only === 'agents' ? [] : await api(target, document, share)));
  failures.push(...(only === 'api' ? [] : await agents(target, document, share)));
  const { failures: unserved, ...seen } = await witness.end();
  failures.push(...unserved, ...target.errors);
  console.log(`others: ${JSON.stringify(seen)}`);
  console.log(`memory: ${memory >> 20} MB before, ${target.memory >> 20} MB after`);
} finally {
  await target.close();
}
for (const failure of failures) {
  console.log(`FAILED ${failure}`);
}
process.exit(failures.length === 0 ? 0 : 1);
