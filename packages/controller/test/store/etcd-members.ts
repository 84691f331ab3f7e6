/** A real etcd cluster on loopback, with addresses and folders of its own. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { temporaryFolder } from '../harness.ts';

/** Flags of every member. Elections are shorter than etcd's default, because all is on loopback. */
const FLAGS = ['--log-level=error', '--logger=zap'];
const ALONE = ['--heartbeat-interval=10', '--election-timeout=100'];
const TOGETHER = ['--heartbeat-interval=50', '--election-timeout=500'];

/** One member. It can be killed, stopped, and started again with its data. */
export interface EtcdMember {
  url: string;
  kill(): Promise<void>;
  start(): void;
  /** Resolves when none of its threads runs any more. They stop some time after the signal. */
  pause(): Promise<void>;
  resume(): void;
}

export interface EtcdMembers {
  members: EtcdMember[];
  endpoints: string[];
  /** Runs etcdctl, which is not ours, and returns what it prints. */
  ctl(...args: string[]): Promise<string>;
}

/** Files for TLS of a cluster, and what etcdctl and others need to reach it. */
export interface EtcdFiles {
  /** The first three bytes of the addresses that the certificate is for. */
  net: string;
  ca: string;
  certificate: string;
  key: string;
}

/** An address for each run, so that no port is shared with anybody. */
const newNet = () => `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;

/** An authority, and one certificate for a single member and its clients. */
export function makeEtcdFiles(t: TestContext): EtcdFiles {
  const cwd = temporaryFolder(t);
  const net = newNet();
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd, stdio: 'pipe' });
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=authority of etcd');
  openssl(
    ...['req', '-x509', ...key, '-keyout', 'own.key', '-out', 'own.crt', '-subj', '/CN=etcd'],
    ...['-addext', `subjectAltName=IP:${net}.1`, '-addext', 'extendedKeyUsage=serverAuth,clientAuth'],
    ...['-CA', 'ca.crt', '-CAkey', 'ca.key'],
  );
  const file = (name: string) => path.join(cwd, name);
  return { net, ca: file('ca.crt'), certificate: file('own.crt'), key: file('own.key') };
}

/** Starts `count` members, and ends them with the test. Returns when they answer. */
export async function startEtcd(t: TestContext, count: number, tls?: EtcdFiles): Promise<EtcdMembers> {
  const folder = temporaryFolder(t);
  const net = tls?.net ?? newNet();
  const scheme = tls ? 'https' : 'http';
  const names = Array.from({ length: count }, (_, index) => ({
    name: `m${index + 1}`,
    url: `${scheme}://${net}.${index + 1}:2379`,
    peer: `http://${net}.${index + 1}:2380`,
  }));
  const cluster = names.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const members = names.map((one) => {
    const own = [
      `--name=${one.name}`,
      `--data-dir=${path.join(folder, one.name)}`,
      `--listen-client-urls=${one.url}`,
      `--advertise-client-urls=${one.url}`,
      `--listen-peer-urls=${one.peer}`,
      `--initial-advertise-peer-urls=${one.peer}`,
      `--initial-cluster=${cluster}`,
      ...(tls
        ? [
            `--cert-file=${tls.certificate}`,
            `--key-file=${tls.key}`,
            `--trusted-ca-file=${tls.ca}`,
            '--client-cert-auth',
          ]
        : []),
    ];
    return startMember(t, one.url, [...own, ...FLAGS, ...(count === 1 ? ALONE : TOGETHER)]);
  });
  const endpoints = members.map(({ url }) => url);
  const files = tls ? [`--cacert=${tls.ca}`, `--cert=${tls.certificate}`, `--key=${tls.key}`] : [];
  const ctl = async (...args: string[]) => {
    const env = { ...process.env, ETCDCTL_API: '3' };
    const { stdout } = await promisify(execFile)('etcdctl', [`--endpoints=${endpoints.join()}`, ...files, ...args], {
      env,
    });
    return stdout;
  };
  await until('etcd answers', () => ctl('endpoint', 'health').catch(() => undefined), { limitMs: 30_000, pauseMs: 50 });
  return { members, endpoints, ctl };
}

function startMember(t: TestContext, url: string, args: string[]): EtcdMember {
  let child: ChildProcess | undefined;
  const start = () => {
    child = spawn('etcd', args, { stdio: 'ignore' });
  };
  const kill = async () => {
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  };
  const atExit = () => child?.kill('SIGKILL');
  process.on('exit', atExit);
  t.after(async () => {
    process.off('exit', atExit);
    await kill();
  });
  start();
  const pause = async () => {
    child?.kill('SIGSTOP');
    await until('etcd to be stopped', () => isStopped(child!.pid!));
  };
  return { url, kill, start, pause, resume: () => child?.kill('SIGCONT') };
}

/** Whether each thread of a process is stopped (`man proc`, `/proc/PID/task/TID/stat`). */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((tid) => readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1').includes(') T '));
}
