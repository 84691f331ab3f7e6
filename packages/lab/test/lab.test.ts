/** The network of a lab, by real packets. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLab, type Lab, openLab } from '@mirrorplane/lab';
import { labName, sendFrame } from './helpers.ts';

let lab: Lab;

before(async () => {
  lab = await createLab({ name: labName('a'), bare: true });
});
after(() => lab?.down());

const pings = async (from: string, address: string, count = 2) => {
  const { code, stdout } = await lab.exec(from, ['ping', '-c', `${count}`, '-i', '0.02', '-W', '1', address], {
    check: false,
  });
  return code === 0 && stdout.includes(`${count} received`);
};

test('a VM reaches VMs on its own node, on other nodes and in the other pool', async () => {
  for (const target of ['web-2', 'db-1', 'app-1', 'other-1', 'fw-1']) {
    assert.ok(await pings('web-1', lab.address(target)), `web-1 to ${target}`);
  }
});

test('unicast between two VMs reaches exactly the two, and nothing else is on the wire', async () => {
  const bystanders = [
    ['web-2', 'eth0'],
    ['ids-1', 'eth0'],
    ['app-1', 'eth0'],
    ['node-3', 'trunk0'],
    ['node-4', 'trunk0'],
  ] as const;
  const others = await Promise.all(bystanders.map(([host, device]) => lab.capture(host, device)));
  const target = await lab.capture('db-1', 'eth0');
  assert.ok(await pings('web-1', lab.address('db-1'), 5));
  await target.waitFor(10);
  const seen = await target.stop();
  assert.equal(seen.packets, 10, seen.lines.join('\n'));
  for (const capture of others) {
    assert.deepEqual((await capture.stop()).lines, []);
  }
});

test('the management network and the underlay join the nodes and the controller, apart from the VM network', async () => {
  assert.ok(await pings('ctl', lab.node('node-4').managementAddress));
  assert.ok(await pings('node-1', lab.node('node-3').underlayAddress));
  const big = ['ping', '-c1', '-W1', '-M', 'do', '-s', '1572', lab.node('node-2').underlayAddress];
  assert.equal((await lab.exec('node-1', big, { check: false })).code, 0, '1600 bytes fit the underlay');
  big[6] = '1573';
  assert.notEqual((await lab.exec('node-1', big, { check: false })).code, 0, '1601 bytes do not');
});

test('a device on a node carries the identity alias', async () => {
  const { stdout } = await lab.exec('node-1', ['ip', '-j', 'link', 'show']);
  const links = JSON.parse(stdout) as { ifname: string; ifalias?: string }[];
  const alias = (device: string) => links.find((link) => link.ifname === device)?.ifalias;
  const web = 'mirrorplane:kind=vm;id=web-1/0;name=web-1 eth0;network=blue';
  assert.equal(alias('tap-web-1'), `${web};mac=${lab.mac('web-1')}`);
  const firewall = 'mirrorplane:kind=nfv;id=fw-1/0;name=fw-1 eth0;network=blue';
  assert.equal(alias('tap-fw-1'), `${firewall};mac=${lab.mac('fw-1')}`);
});

test('business traffic between a gateway and a physical host passes the edge NIC untagged', async () => {
  const edge = await lab.capture('node-1', 'edge0');
  const bystanders = await Promise.all(['phys-2', 'mon-sw', 'pgw-3'].map((host) => lab.capture(host, 'eth0')));
  assert.ok(await pings('pgw-1', lab.address('phys-1'), 3));
  assert.ok(await pings('pgw-3', lab.address('phys-2'), 3));
  const seen = await edge.stop();
  assert.equal(seen.packets, 6);
  for (const line of seen.lines) {
    assert.match(line, /ethertype IPv4 .* ICMP echo/);
  }
  const [phys2, mon, pgw3] = await Promise.all(bystanders.map((capture) => capture.stop()));
  assert.deepEqual([phys2?.packets, mon?.packets, pgw3?.packets], [6, 0, 6], 'each host sees its own ping only');
});

test('TCP through the switch arrives whole, so checksums are finished before it', async () => {
  const server = lab.spawn('phys-1', ['python3', '-c', RECEIVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  server.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until('receiver', () => said.includes('ready'));
  await lab.exec('pgw-1', ['python3', '-c', SENDER, lab.address('phys-1')], { timeoutMs: 20_000 });
  await until('all bytes', () => said.includes('4000000'));
});

test('a frame tagged 100 leaves the edge trunk untagged at the monitoring host, and no other VLAN does', async () => {
  const monitor = await lab.capture('mon-sw', 'eth0');
  const elsewhere = await Promise.all([
    lab.capture('node-3', 'edge0'),
    lab.capture('node-1', 'edge1'),
    lab.capture('phys-1', 'eth0'),
  ]);
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 200, payload: 'other vlan' });
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 100, payload: 'allowed' });
  // Both frames go through one port in this order: when the second one has arrived, the first one
  // will not arrive.
  await monitor.waitFor(1);
  const seen = await monitor.stop();
  assert.equal(seen.packets, 1, seen.lines.join('\n'));
  assert.match(seen.lines[0] ?? '', /ethertype Unknown \(0x88b5\)/);
  assert.ok(readFileSync(seen.file).includes('allowed'));
  for (const capture of elsewhere) {
    assert.deepEqual((await capture.stop()).lines, [], 'edges do not hear each other');
  }
});

test('a frame tagged 400 passes the edge trunk only once the VLAN is on its allowed list', async () => {
  await lab.vsctl('set', 'port', 'mon-sw', 'tag=400');
  const monitor = await lab.capture('mon-sw', 'eth0');
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 400, payload: 'refused' });
  await lab.vsctl('add', 'port', 'node-1-edge0', 'trunks', '400');
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 400, payload: 'passed' });
  await monitor.waitFor(1);
  const seen = await monitor.stop();
  assert.equal(seen.packets, 1, seen.lines.join('\n'));
  assert.ok(readFileSync(seen.file).includes('passed'));
  await lab.vsctl('remove', 'port', 'node-1-edge0', 'trunks', '400', '--', 'set', 'port', 'mon-sw', 'tag=100');
});

test('a monitoring VLAN keeps flooding, also for source addresses that were seen in it', async () => {
  const monitor = await lab.capture('mon-sw', 'eth0');
  const [a, b] = [lab.mac('web-1'), lab.mac('db-1')];
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 100, source: a, destination: b, payload: 'there' });
  await sendFrame(lab, 'node-1', 'edge0', { vlan: 100, source: b, destination: a, payload: 'back' });
  await monitor.waitFor(2);
  assert.equal((await monitor.stop()).packets, 2);
});

for (const overlap of [false, true]) {
  test(`a migrated VM ${overlap ? 'with overlap ' : ''}keeps address, MAC and alias, and traffic finds it`, async () => {
    const target = overlap ? 'node-1' : 'node-3';
    const origin = lab.vm('web-2').node;
    await lab.migrate('web-2', target, { overlap });
    assert.equal(lab.vm('web-2').node, target);
    const links = async (node: string) => (await lab.exec(node, ['ip', '-o', 'link'])).stdout;
    assert.ok(!(await links(origin)).includes('tap-web-2'), 'gone from the old node');
    assert.match(await links(target), /tap-web-2@.*alias mirrorplane:kind=vm;id=web-2\/0;name=web-2 eth0;network=blue/);
    assert.ok((await lab.exec('web-2', ['ip', '-o', 'link', 'show', 'eth0'])).stdout.includes(lab.mac('web-2')));
    const bystander = await lab.capture('ids-1', 'eth0');
    for (const peer of ['web-1', 'db-1', 'mon-3']) {
      assert.ok(await pings(peer, lab.address('web-2')), `${peer} to web-2`);
      assert.ok(await pings('web-2', lab.address(peer)), `web-2 to ${peer}`);
    }
    assert.deepEqual((await bystander.stop()).lines, []);
  });
}

test('another process opens the lab by its name', async () => {
  const same = openLab(lab.name);
  assert.equal((await same.exec('web-1', ['hostname', '-I'], { check: false })).code, 0);
  assert.throws(() => same.ns('nobody'), /has no host nobody; it has fabric/);
  assert.throws(() => openLab('none9'), /there is no lab none9/);
});

test('a second lab of the same name is refused and leaves the first alone', async () => {
  await assert.rejects(
    createLab({ name: lab.name, bare: true }),
    /network namespaces of that name exist|exists already/,
  );
  assert.ok(existsSync(`/run/netns/${lab.ns('web-1')}`));
});

const RECEIVER = `
import socket
s = socket.create_server(('', 5999))
print('ready', flush=True)
c, _ = s.accept()
n = 0
while d := c.recv(65536): n += len(d)
print(n, flush=True)`;
const SENDER = `
import socket, sys
s = socket.create_connection((sys.argv[1], 5999))
s.sendall(bytes(4000000))
s.close()`;
