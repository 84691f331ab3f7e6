/** How a connection to etcd is protected. */

/** Files for TLS, in PEM. They are read at each connect, so that renewed ones are used. */
export interface EtcdTls {
  /** Certificates that may have signed those of the members. Default: those of the system. */
  ca?: string | undefined;
  /** Own certificate and its key, where etcd asks for one. */
  certificate?: string | undefined;
  key?: string | undefined;
}
