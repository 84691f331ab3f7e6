"""edge_frames.py HOST_MAC PEER_MAC HOST_ADDRESS: frames of an edge NIC as JSON: [name, direction, hex]. Direction as the NIC
sees it. Those whose name begins with "host" are traffic of the node itself; the rest is business."""

import json
import sys

from scapy.all import ARP, GRE, IP, TCP, UDP, Dot1Q, Ether, ICMPv6ND_NS, IPv6, Raw
from scapy.layers.vxlan import VXLAN

host_mac, peer_mac, address = sys.argv[1:4]
host6 = "fd00:77::1"
inner = Ether(src="02:aa:00:00:00:01", dst="02:aa:00:00:00:02") / IP(src="10.50.0.1", dst="10.50.0.2") / UDP() / b"inner"
into = Ether(src=peer_mac, dst=host_mac)
out = Ether(src=host_mac, dst=peer_mac)
peer = "10.77.0.9"
frames = [
    ("host ssh in", "in", into / IP(src=peer, dst=address) / TCP(sport=40000, dport=22, flags="S")),
    ("host ssh out", "out", out / IP(src=address, dst=peer) / TCP(sport=22, dport=40000, flags="SA")),
    ("host arp in", "in", into / ARP(op=1, psrc=peer, pdst=address)),
    ("host arp out", "out", out / ARP(op=2, psrc=address, pdst=peer)),
    ("host vxlan in", "in", into / IP(src=peer, dst=address) / UDP(dport=4789) / VXLAN(vni=5) / inner),
    ("host vxlan out", "out", out / IP(src=address, dst=peer) / UDP(dport=4789) / VXLAN(vni=5) / inner),
    ("host geneve in", "in", into / IP(src=peer, dst=address) / UDP(dport=6081) / Raw(bytes.fromhex("0000655800000500") + bytes(inner))),
    ("host gre out", "out", out / IP(src=address, dst=peer) / GRE(proto=0x6558) / inner),
    ("host erspan in", "in", into / IP(src=peer, dst=address) / GRE(proto=0x88BE, seqnum_present=1) / Raw(b"\x10\x00\x00\x07\x00\x00\x00\x00" + bytes(inner))),
    ("host ipv6 in", "in", into / IPv6(src="fd00:77::9", dst=host6) / UDP() / b"x"),
    ("host nd in", "in", into / IPv6(src="fd00:77::9", dst="ff02::1:ff00:1") / ICMPv6ND_NS(tgt=host6)),
    ("host tagged in", "in", into / Dot1Q(vlan=55) / IP(src=peer, dst=address) / UDP() / b"x"),
    ("guest tcp in", "in", into / IP(src=peer, dst="10.77.0.50") / TCP(flags="S")),
    ("guest tcp out", "out", out / IP(src="10.77.0.50", dst=peer) / TCP(flags="SA")),
    ("guest to a host address elsewhere", "out", out / IP(src="10.77.0.50", dst=address) / UDP() / b"x"),
    ("guest arp in", "in", into / ARP(op=1, psrc=peer, pdst="10.77.0.50")),
    ("guest nd in", "in", into / IPv6(src="fd00:77::9", dst="ff02::1:ff00:50") / ICMPv6ND_NS(tgt="fd00:77::50")),
    ("guest vxlan in", "in", into / IP(src=peer, dst="10.77.0.50") / UDP(dport=4789) / VXLAN(vni=5) / inner),
    ("guest tagged in", "in", into / Dot1Q(vlan=55) / IP(src=peer, dst="10.77.0.50") / UDP() / b"x"),
    ("broadcast in", "in", Ether(src=peer_mac, dst="ff:ff:ff:ff:ff:ff", type=0x9999) / b"hello"),
]
print(json.dumps([[name, direction, bytes(frame).hex()] for name, direction, frame in frames]))
