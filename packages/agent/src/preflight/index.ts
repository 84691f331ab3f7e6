/** Runs the preflight checks. */
import { release } from 'node:os';
import type { Datapath } from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';
import { judgeBpf, judgeJit, judgeLockdown, judgeMemlock, readMemlock, readOptional } from './bpf.ts';
import { judgeBpffs, readBpffs } from './bpffs.ts';
import { judgeCertificate, judgeClock, readCertificate, readInstalled } from './certificate.ts';
import { type Check, type CheckId, guarded, HostUnfit, isFit, judged, SEE_ABOVE, skipped } from './check.ts';
import { judgeControllers, readController } from './controller.ts';
import { judgeDataFolder, readDataFolder } from './data-folder.ts';
import { tryDatapath } from './data-path.ts';
import { judgeEncryption, readWireguard } from './encryption.ts';
import {
  type HookFacts,
  judgeBtf,
  judgeHelperDevice,
  judgeHoldQueue,
  judgeHook,
  judgeKernelFeatures,
} from './kernel-features.ts';
import { judgeLibbpf, judgeRuntime } from './libraries.ts';
import { judgeMirrorDevice, readMirrorDevice } from './mirror-device.ts';
import { hasCapability, judgeCapabilities, judgeRoot, type RightsFacts, readRights } from './rights.ts';
import { type NetworkFacts, tryNetwork } from './trial-network.ts';

type HookChoice = HookFacts['choice'];

/** Options of an agent to check. Options that are left out are not checked. */
export interface PreflightOptions {
  /** Folder for pins. */
  bpffs: string;
  /** Data folder. */
  data: string;
  /**
   * Returns the data path of `bpffs`. Only called if libbpf exists and the kernel accepts programs.
   */
  datapath: () => Promise<Datapath>;
  /** Default auto. */
  hook?: HookChoice | undefined;
  node?: string | undefined;
  /** A join token is given. Left out: not known yet. */
  token?: boolean | undefined;
  mirrorDevice?: string | undefined;
  mirrorAddress?: string | undefined;
  /** HOST:PORT of each. The check connects to them. */
  controllers?: readonly string[] | undefined;
}

/** Checks whether an agent can run here. Changes nothing on the host. */
export async function checkHost(options: PreflightOptions): Promise<Check[]> {
  const { bpffs, data, node, token, mirrorDevice, mirrorAddress, controllers } = options;
  const rights = readRights();
  const canMount = hasCapability(rights, 'CAP_SYS_ADMIN');
  const checks = [judgeRuntime(process.versions.node), judgeRoot(rights), judgeCapabilities(rights)];
  checks.push(...(await checkKernel(checks, rights, options.hook ?? 'auto')));
  checks.push(await guarded('bpffs', () => judgeBpffs(readBpffs(bpffs, canMount))));
  const takesPrograms = KERNEL_NEEDED.every((id) => checks.some((check) => check.id === id && check.state === 'ok'));
  checks.push(takesPrograms ? await tryDatapath(options.datapath) : skipped('data-path', SEE_ABOVE));
  const certificate = await readCertificate(data);
  if (mirrorDevice !== undefined) {
    const question = { address: mirrorAddress, joined: certificate !== undefined };
    const look = async () => judgeMirrorDevice(await readMirrorDevice(mirrorDevice), question);
    // Without this capability, the kernel refuses a buffer that is large enough for a list of all
    // devices.
    const mayAsk = hasCapability(rights, 'CAP_NET_ADMIN');
    checks.push(mayAsk ? await guarded('mirror-device', look) : skipped('mirror-device', SEE_ABOVE));
    checks.push(await guarded('encryption', () => judgeEncryption(readWireguard())));
  }
  checks.push(await guarded('data-folder', () => judgeDataFolder(readDataFolder(data))));
  const now = new Date();
  checks.push(judgeCertificate(certificate, { data, now, node, token }));
  checks.push(judgeClock(now, readInstalled(), certificate));
  if (controllers !== undefined) {
    checks.push(judgeControllers(await Promise.all(controllers.map(readController))));
  }
  return checks;
}

/**
 * Ensures that an agent can run here, and logs warnings.
 * @returns the data path, prepared
 * @throws HostUnfit if a check has failed; nothing is changed then
 */
export async function requireFit(options: PreflightOptions, log: Logger): Promise<Datapath> {
  let datapath: Datapath | undefined;
  const make = async () => {
    datapath = await options.datapath();
    return datapath;
  };
  const checks = await checkHost({ ...options, datapath: make });
  if (datapath === undefined || !isFit(checks)) {
    datapath?.close();
    throw new HostUnfit(checks);
  }
  for (const { id, state, found, remedy } of checks) {
    if (state === 'warning') {
      log.warn({ check: id }, `${found}; ${remedy}`);
    }
  }
  return datapath;
}

/** Checks that must be ok before the data path is loaded. */
const KERNEL_NEEDED: readonly CheckId[] = ['capabilities', 'libbpf', 'bpf', 'kernel-features', 'btf'];

/** @param before results of the checks of rights */
async function checkKernel(before: readonly Check[], rights: RightsFacts, choice: HookChoice): Promise<Check[]> {
  const trials = await import('./kernel-trials.ts').catch((error: unknown) => reason(error));
  const library = typeof trials === 'string' ? { error: trials } : { version: trials.libbpfVersion() };
  const lockdown = judgeLockdown(readOptional('/sys/kernel/security/lockdown'));
  const allowed = typeof trials !== 'string' && isFit(before) ? trials : undefined;
  const smallest = allowed?.loadSmallest();
  const loaded = smallest && 'program' in smallest ? smallest : undefined;
  const kernel = loaded && allowed?.tryKernel();
  // Only root on the host can make a network namespace. The service lays this right down.
  const network =
    loaded &&
    (hasCapability(rights, 'CAP_SYS_ADMIN')
      ? await tryNetwork(loaded.program).catch((error: unknown) => ({ error: reason(error) }))
      : { error: 'a network namespace for trials needs CAP_SYS_ADMIN; root can try it with --check' });
  if (loaded) {
    allowed?.closeFd(loaded.program);
  }
  const onNetwork = (id: CheckId, judge: (facts: NetworkFacts) => Check) =>
    judged(id, network, (facts) => ('error' in facts ? skipped(id, facts.error) : judge(facts)));
  return [
    judgeLibbpf(library),
    judged('bpf', smallest, (facts) => judgeBpf('refused' in facts ? facts.refused : undefined)),
    lockdown,
    judged('memlock', kernel, ({ memoryByGroup }) => judgeMemlock(memoryByGroup, readMemlock(rights))),
    judged('jit', loaded, ({ compiled }) => judgeJit(compiled)),
    judged('kernel-features', kernel, ({ missing }) => judgeKernelFeatures(missing, release())),
    judged('btf', kernel, ({ btf }) => judgeBtf(btf)),
    // If tcx is available and allowed, clsact is not needed.
    kernel?.tcx && choice !== 'clsact'
      ? judgeHook({ choice, tcx: true, clsact: undefined }, release())
      : onNetwork('hook', ({ clsact }) => judgeHook({ choice, tcx: kernel!.tcx, clsact }, release())),
    onNetwork('helper-device', ({ veth }) => judgeHelperDevice(veth)),
    onNetwork('hold-queue', ({ holdQueue }) => judgeHoldQueue(holdQueue)),
  ];
}
