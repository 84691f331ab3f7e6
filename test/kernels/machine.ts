/**
 * A QEMU machine that runs one command on another kernel. Its root is a read-only file system of
 * this machine. Written data stays in its memory, and is lost at its end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandEnv, initramfs } from '@mirrorplane/lab/testing';
import { type Architecture, extracted } from './apt.ts';
import type { Kernel } from './kernel.ts';

/** The command, and the machine for it. */
export interface Order {
  argv: readonly string[];
  /** Folder to run it in. Default this process's. */
  cwd?: string;
  /** Variables of its environment besides PATH and HOME. */
  env?: Record<string, string>;
  /** Folder of this machine that is the root. Default `/`, for another architecture to be given. */
  root?: string;
  /**
   * Folder of this machine that is at the same place in the guest, where the root has it not.
   * Default none.
   */
  beside?: string;
  /** Seconds until it is ended, the boot included. Default 600. */
  seconds?: number;
  /** MiB of memory. Default 3072. */
  memory?: number;
  /** Gets what the command prints. Default: this process's standard output. */
  onOutput?: (bytes: Buffer) => void;
}

/** What came of it. */
export interface Outcome {
  /** Exit status of the command. */
  code: number;
  /** Seconds from the start of QEMU until the command began. */
  bootSeconds: number;
}

/**
 * Modules without which there is no root, no host and no way to say anything. What they need is
 * loaded before them.
 */
const MODULES = ['virtio_pci', '9p', '9pnet_virtio', 'overlay', 'virtio_console'];
/**
 * Modules that a container's or hypervisor's host has loaded, and that the kernel does not load at
 * need.
 */
const HOST_MODULES = ['tun', 'sch_ingress', 'cls_bpf', 'act_bpf', 'bridge', 'veth'];

const QEMU: Record<Architecture, string[]> = {
  // With the protection keys that QEMU emulates, Node.js 24 aborts at its start.
  amd64: ['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max,pku=off'],
  arm64: ['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a72'],
};
const CONSOLE: Record<Architecture, string> = { amd64: 'ttyS0', arm64: 'ttyAMA0' };

/** How a folder of this machine is mounted: what the guest writes to is read each time. */
const NINE_P = 'trans=virtio,version=9p2000.L,msize=512000';
const SHARED = `ro,cache=loose,${NINE_P}`;

/** Program of the first file system: makes the root and enters it. */
const FIRST = `#!/bin/busybox sh
b=/bin/busybox
for module in $($b cat /modules/order); do $b insmod /modules/$module; done
$b mkdir -p /proc /lower /upper /root
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t 9p -o ${SHARED} root /lower || exec $b poweroff -f
$b mount -t tmpfs -o size=75% tmpfs /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
$b mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
$b mount --move /dev /root/dev
$b mount --move /proc /root/proc
$b mount -t tmpfs tmpfs /root/run
$b mkdir /root/run/order
$b mount -t 9p -o ${NINE_P} order /root/run/order
exec $b switch_root /root /bin/sh /run/order/init
`;

/** The end of the first program of the root. */
const INIT = `
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ip link set lo up 2>/dev/null || ifconfig lo up
touch /run/order/booted
sh /run/order/command </dev/null 2>&1 | cat >$(ls /dev/vport*p1 | head -n 1)
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
`;

/** Lines that put a folder into another root; what is written to it stays in the guest's memory. */
const besideRoot = (folder: string) => [
  'mkdir -p /run/beside /run/beside-files /run/beside-work',
  `mkdir -p ${quoted(folder)}`,
  `mount -t 9p -o ${SHARED} beside /run/beside`,
  `mount -t overlay -o lowerdir=/run/beside,upperdir=/run/beside-files,workdir=/run/beside-work overlay ${quoted(folder)}`,
];

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * Modules in the order of loading, each after those that it needs; the files as modules.dep names
 * them.
 */
function modulesInOrder(kernel: Kernel): string[] {
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(kernel.modules, 'modules.dep'), 'utf8').split('\n')) {
    const [file = '', rest = ''] = line.split(':');
    const name = file.split('/').at(-1)?.split('.')[0]?.replaceAll('-', '_') ?? '';
    // The last of the needed ones is to be loaded first.
    needs.set(name, [...rest.split(' ').filter(Boolean).reverse(), file]);
  }
  // What is not among them is built in.
  return [...new Set(MODULES.flatMap((name) => needs.get(name) ?? []))];
}

async function unpacked(path: string): Promise<Buffer> {
  const plain = path.endsWith('.xz') ? ['xz', '-dc'] : path.endsWith('.zst') ? ['zstd', '-dc'] : undefined;
  if (plain === undefined) {
    return readFileSync(path);
  }
  const child = spawn(plain[0] as string, [...plain.slice(1), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  return Buffer.concat(await child.stdout.toArray());
}

/**
 * The first file system for a kernel: busybox, what the root needs, and the program that goes
 * there.
 */
async function firstFiles(kernel: Kernel): Promise<Buffer> {
  const { architecture } = kernel;
  const busybox = await extracted(
    `busybox-${architecture}`,
    async () => [`busybox-static:${architecture}`],
    architecture,
  );
  const program = ['bin/busybox', 'usr/bin/busybox'].map((path) => join(busybox, path)).find(existsSync);
  if (program === undefined) {
    throw new Error('no busybox in the package busybox-static');
  }
  const order = modulesInOrder(kernel);
  const names = order.map((file) => (file.split('/').at(-1) as string).replace(/\.(xz|zst)$/, ''));
  const modules = await Promise.all(order.map((file) => unpacked(join(kernel.modules, file))));
  return initramfs([
    ...['bin', 'modules', 'dev'].map((path) => ({ path, mode: 0o40755 })),
    { path: 'dev/console', mode: 0o20600, device: [5, 1] as [number, number] },
    { path: 'bin/busybox', mode: 0o100755, data: readFileSync(program) },
    { path: 'modules/order', mode: 0o100644, data: names.join(' ') },
    ...names.map((name, i) => ({ path: `modules/${name}`, mode: 0o100644, data: modules[i] as Buffer })),
    { path: 'init', mode: 0o100755, data: FIRST },
  ]);
}

/**
 * Boots a kernel, runs a command as a child of its first program, and ends the machine.
 * @throws Error where the machine does not boot, or does not end in time; with the last lines of
 *   its console
 */
export async function runOn(kernel: Kernel, order: Order): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-kernel-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    writeFileSync(join(folder, 'initramfs'), await firstFiles(kernel));
    const variables = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', ...order.env };
    const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const init = [
      ...exports,
      `mkdir -p /lib/modules/${kernel.release}`,
      // The modules are in a cache that a root of another architecture does not see.
      `mount -t 9p -o ${SHARED} modules /lib/modules/${kernel.release}`,
      `for module in ${HOST_MODULES.join(' ')}; do modprobe -q $module; done`,
      ...(order.beside === undefined ? [] : besideRoot(order.beside)),
      INIT,
    ];
    writeFileSync(join(folder, 'init'), init.join('\n'));
    const command = [
      `cd ${quoted(order.cwd ?? process.cwd())} || exit`,
      `${order.argv.map(quoted).join(' ')}`,
      'echo $? >/run/order/ending; mv /run/order/ending /run/order/code',
    ];
    writeFileSync(join(folder, 'command'), command.join('\n'));
    return await boot(kernel, order, folder);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** `no_timer_check`: on a busy host the interrupts of the timer come late, and the kernel would stop. */
function qemuArguments(kernel: Kernel, order: Order, folder: string): string[] {
  const { architecture } = kernel;
  const share = (tag: string, path: string, readonly: boolean) => [
    '-virtfs',
    `local,path=${path},mount_tag=${tag},security_model=none,multidevs=remap${readonly ? ',readonly=on' : ''}`,
  ];
  return [
    // Whatever ends this process, QEMU ends with it.
    ...['setpriv', '--pdeathsig', 'KILL'],
    ...QEMU[architecture],
    ...['-accel', 'tcg,thread=multi', '-smp', '2', '-m', `${order.memory ?? 3072}`],
    ...['-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-net', 'none'],
    ...['-kernel', kernel.image, '-initrd', join(folder, 'initramfs')],
    ...['-append', `console=${CONSOLE[architecture]} panic=-1 nowatchdog no_timer_check mitigations=off`],
    ...['-serial', `file:${join(folder, 'console')}`],
    ...['-device', 'virtio-serial-pci', '-chardev', 'stdio,id=out,signal=off', '-device', 'virtserialport,chardev=out'],
    ...['-device', 'virtio-rng-pci'],
    ...share('root', order.root ?? '/', true),
    ...share('modules', kernel.modules, true),
    ...(order.beside === undefined ? [] : share('beside', order.beside, true)),
    ...share('order', folder, false),
  ];
}

async function boot(kernel: Kernel, order: Order, folder: string): Promise<Outcome> {
  const seconds = order.seconds ?? 600;
  const argv = qemuArguments(kernel, order, folder);
  const began = performance.now();
  const child: ChildProcess = spawn(argv[0] as string, argv.slice(1), {
    // With its input closed, QEMU takes the guest's port for not connected, and nothing comes out
    // of it.
    stdio: ['pipe', 'pipe', 'pipe'],
    env: commandEnv(),
  });
  const complaints: Buffer[] = [];
  child.stderr?.on('data', (bytes: Buffer) => complaints.push(bytes));
  child.stdout?.on('data', order.onOutput ?? ((bytes: Buffer) => process.stdout.write(bytes)));
  let bootSeconds = Number.NaN;
  let late = false;
  const watch = setInterval(() => {
    const now = (performance.now() - began) / 1000;
    if (Number.isNaN(bootSeconds) && existsSync(join(folder, 'booted'))) {
      bootSeconds = now;
    }
    if (now <= seconds) {
      return;
    }
    late = true;
    child.kill('SIGKILL');
  }, 100);
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', () => resolve());
    });
  } finally {
    clearInterval(watch);
    child.kill('SIGKILL');
  }
  const code = join(folder, 'code');
  if (!late && existsSync(code)) {
    return { code: Number(readFileSync(code, 'utf8')), bootSeconds };
  }
  const console = existsSync(join(folder, 'console')) ? readFileSync(join(folder, 'console'), 'utf8') : '';
  const last = console.trimEnd().split('\n').slice(-30).join('\n');
  const reason = late ? `no end after ${seconds} s` : 'the machine stopped before the command ended';
  throw new Error(`Linux ${kernel.release}: ${reason}\n${Buffer.concat(complaints)}${last}`);
}
