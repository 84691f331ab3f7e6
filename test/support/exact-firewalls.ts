/**
 * Distributed firewalls as they are built on Linux. Each drops UDP to port 7 and lets port 8 pass,
 * on `node-1`, for the VM `web-1` and its neighbours `fw-1` (same node) and those behind the uplink
 * `trunk0`.
 */
import { DROPPED } from './exact-frames.ts';

/** A firewall: how to put it up on the node and how to take it down. */
export interface Firewall {
  name: string;
  up: string;
  down: string;
}

const TAP = 'tap-web-1';
const TABLE = 'exact';
/** Every port of the bridge that frames of the test pass. */
const PORTS = [TAP, 'tap-fw-1', 'trunk0'];
const match = `ether type ip udp dport ${DROPPED}`;

function bridgeChain(hook: string, priority: number, rules: string[], policy = 'accept'): Firewall {
  const chain = `type filter hook ${hook} priority ${priority}; policy ${policy};`;
  return {
    name: `nftables bridge family, ${hook}${policy === 'drop' ? ', policy drop' : ''}`,
    up: `nft -f - <<'EOF'\ntable bridge ${TABLE} {\nchain c { ${chain} ${rules.join('; ')}; }\n}\nEOF\n`,
    down: `nft delete table bridge ${TABLE}\n`,
  };
}

function netdevChain(hook: 'ingress' | 'egress', devices: string[], rule = `${match} drop`): Firewall {
  const chains = devices.map(
    (device, i) => `chain c${i} { type filter hook ${hook} device "${device}" priority 0; ${rule}; }`,
  );
  return {
    name: `nftables netdev family, ${hook} of ${devices.join(', ')}`,
    up: `nft -f - <<'EOF'\ntable netdev ${TABLE} {\n${chains.join('\n')}\n}\nEOF\n`,
    down: `nft delete table netdev ${TABLE}\n`,
  };
}

/**
 * Classic BPF: UDP to port 7 over IPv4 without options gets the verdict TC_ACT_SHOT, the rest
 * TC_ACT_UNSPEC.
 */
const CLASSIC = `6,40 0 0 12,21 0 3 2048,40 0 0 36,21 0 1 ${DROPPED},6 0 0 2,6 0 0 4294967295`;

function classicFilter(hook: 'ingress' | 'egress', devices: string[]): Firewall {
  const filter = (device: string) => `tc filter add dev ${device} ${hook} protocol all bpf da bytecode '${CLASSIC}'`;
  return {
    name: `a tc-BPF program, ${hook} of ${devices.join(', ')}`,
    up: devices.map((device) => `tc qdisc add dev ${device} clsact\n${filter(device)}\n`).join(''),
    down: devices.map((device) => `tc qdisc del dev ${device} clsact\n`).join(''),
  };
}

/** Rules of iptables see bridged frames where br_netfilter is on. */
function physdev(iptables: string): Firewall {
  const rule = (action: string, direction: string) =>
    `${iptables} -${action} FORWARD -m physdev --physdev-is-bridged --physdev-${direction} ${TAP} -p udp --dport ${DROPPED} -j DROP\n`;
  const call = (on: number) => `echo ${on} >/proc/sys/net/bridge/bridge-nf-call-iptables\n`;
  return {
    name: `${iptables} with physdev`,
    up: call(1) + rule('A', 'in') + rule('A', 'out'),
    down: rule('D', 'in') + rule('D', 'out') + call(0),
  };
}

const ebtables = (chain: string, table: string): Firewall => {
  const rule = (action: string) =>
    `ebtables -t ${table} -${action} ${chain} -p IPv4 --ip-proto udp --ip-dport ${DROPPED} -j DROP\n`;
  return { name: `ebtables, ${table} ${chain}`, up: rule('A'), down: rule('D') };
};

/** Firewalls on the bridge that all VMs share. */
export const FIREWALLS: Firewall[] = [
  bridgeChain('forward', 0, [`${match} drop`]),
  bridgeChain('forward', 0, ['ether type arp accept', `ether type ip udp dport != ${DROPPED} accept`], 'drop'),
  bridgeChain('prerouting', -300, [`${match} drop`]),
  bridgeChain('postrouting', 300, [`${match} drop`]),
  physdev('iptables-nft'),
  physdev('iptables-legacy'),
  ebtables('FORWARD', 'filter'),
  ebtables('PREROUTING', 'nat'),
  netdevChain('ingress', PORTS),
  netdevChain('egress', PORTS),
  classicFilter('ingress', PORTS),
  classicFilter('egress', PORTS),
];

/** Firewalls of the VM's own bridge: as orchestrators write them, rules name the VM's tap. */
export const OWN_BRIDGE_FIREWALLS: Firewall[] = [
  bridgeChain('forward', 0, [`iifname "${TAP}" ${match} drop`, `oifname "${TAP}" ${match} drop`]),
  bridgeChain('prerouting', -300, [`iifname { "${TAP}", "fwln" } ${match} drop`]),
  physdev('iptables-nft'),
  physdev('iptables-legacy'),
  netdevChain('ingress', [TAP, 'fwln']),
  netdevChain('egress', [TAP, 'fwln']),
];

/**
 * For a firewall bridge of one VM: a bridge between its tap and `br0`, as Proxmox (learning) and
 * OpenStack (none) have.
 */
export function firewallBridge(mac: string, learning: boolean): Firewall {
  const options = learning ? '' : 'ageing_time 0 mcast_snooping 0';
  return {
    name: learning
      ? 'a firewall bridge of the VM, as Proxmox has it'
      : 'a firewall bridge of the VM, as OpenStack has it',
    up: `ip link add fwbr type bridge stp_state 0 forward_delay 0 ${options}
ip link add fwln type veth peer name fwpr
ip link set fwpr master br0 up
ip link set fwln master fwbr up
ip link set ${TAP} master fwbr
ip link set fwbr up
bridge fdb replace ${mac} dev fwpr master static
`,
    down: `ip link set ${TAP} master br0
ip link del fwln
ip link del fwbr
bridge fdb replace ${mac} dev ${TAP} master static
`,
  };
}

/** What limits or shapes traffic so tightly that some of sixty frames at once are dropped. */
export const LIMITS: (Firewall & { direction: 'from' | 'to' })[] = [
  {
    ...netdevChain('ingress', [TAP], `${match} limit rate over 1/second burst 5 packets drop`),
    name: 'policing at the tap by an nftables limit',
    direction: 'from',
  },
  {
    ...bridgeChain('forward', 0, [`${match} limit rate over 1/second burst 5 packets drop`]),
    name: 'policing on the bridge by an nftables limit',
    direction: 'to',
  },
  {
    ...netdevChain('egress', [TAP], `${match} limit rate over 1/second burst 5 packets drop`),
    name: 'policing at egress of the tap by an nftables limit',
    direction: 'to',
  },
  {
    name: 'shaping by HTB',
    up: `tc qdisc add dev ${TAP} root handle 1: htb default 1 r2q 1
tc class add dev ${TAP} parent 1: classid 1:1 htb rate 800kbit burst 1600
tc qdisc add dev ${TAP} parent 1:1 pfifo limit 5
`,
    down: `tc qdisc del dev ${TAP} root\n`,
    direction: 'to',
  },
  {
    name: 'shaping by TBF',
    up: `tc qdisc add dev ${TAP} root tbf rate 800kbit burst 1600 limit 2000\n`,
    down: `tc qdisc del dev ${TAP} root\n`,
    direction: 'to',
  },
];
