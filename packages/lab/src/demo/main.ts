/** `make demo`: a lab cluster, one policy of each type, and the count of every packet. */
import { createLab } from '../create.ts';
import type { Lab } from '../lab.ts';
import { run } from '../netns.ts';
import { header, showLive } from './live.ts';
import { showOnce, waitActive } from './once.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { table } from './table.ts';

const once = process.argv.includes('--once');
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
}

const say = (text: string) => process.stdout.write(`${text}\n`);

/** The operator's command that makes the policy of a scenario. */
function createCommand({ policy }: Scenario): string[] {
  const argv = ['policy', 'create', policy.name];
  for (const source of policy.sources) {
    argv.push('--source', source);
  }
  argv.push('--destination', policy.destination);
  if (policy.vlanId !== undefined) {
    argv.push('--vlan-id', String(policy.vlanId));
  }
  return argv;
}

async function demo(lab: Lab): Promise<boolean> {
  const env = { MIRRORPLANE_URL: `unix:${lab.apiSocket}`, MIRRORPLANE_TOKEN_FILE: lab.tokenFile };
  for (const scenario of SCENARIOS) {
    const argv = createCommand(scenario);
    say(`$ mirrorplane ${argv.join(' ')}`);
    await run([lab.state.command, ...argv], { env });
  }
  for (const { policy } of SCENARIOS) {
    await waitActive(lab, policy.name, stop.signal);
  }
  if (!once) {
    await showLive(lab, SCENARIOS, stop.signal);
    return true;
  }
  const rows = [];
  for (const scenario of SCENARIOS) {
    rows.push(await showOnce(lab, scenario, stop.signal));
  }
  say('\nsent: tcpdump at the source; copied: counters of the data plane; received: tcpdump at the destination\n');
  const cells = rows.map((r) => [r.policy, r.type, r.sent, r.copied, r.received, r.agree ? 'yes' : 'NO']);
  say(table(['POLICY', 'TYPE', 'SENT', 'COPIED', 'RECEIVED', 'AGREE'], cells));
  return rows.every((row) => row.agree);
}

async function main(): Promise<number> {
  // A unique name, so that a demo can run beside other labs and demos.
  const name = `d${(process.pid % 36 ** 4).toString(36)}`;
  const lab = await createLab({ name, signal: stop.signal, onProgress: (line) => say(`[demo] ${line}`) });
  try {
    say(header(lab));
    return (await demo(lab)) ? 0 : 1;
  } finally {
    say('[demo] removing the lab');
    await lab.down();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${(error as Error).message}\n`);
  process.exitCode = stop.signal.aborted && !once ? 0 : 1;
}
