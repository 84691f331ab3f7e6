/** `ingress`: what the device receives; `egress`: what the node sends into the device. */
export type Hook = 'ingress' | 'egress';
