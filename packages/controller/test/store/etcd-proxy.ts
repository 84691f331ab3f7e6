/** A way to etcd that can be cut, or lose all answers. */
import type { TestContext } from 'node:test';
import { startTcpProxy } from '../tcp-proxy.ts';

/** `deaf`: requests arrive, and no answer comes back. */
type Way = 'open' | 'cut' | 'deaf';

/** @param target address of a member of etcd */
export async function startProxy(t: TestContext, target: string) {
  const { hostname, port } = new URL(target);
  let way: Way = 'open';
  const proxy = await startTcpProxy(t, { host: hostname, port: Number(port) }, () =>
    way === 'cut' ? undefined : { answers: () => way !== 'deaf' },
  );
  const be = (now: Way) => {
    way = now;
    // A deaf connection is lost for good: bytes of it are missing.
    if (now !== 'deaf') {
      proxy.cut();
    }
  };
  return { url: `http://127.0.0.1:${proxy.port}`, be };
}
