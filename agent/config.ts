/** `agent.yaml`, read and checked: every key but `listen` has a default, an unknown key or a bad value stops the start. */

export interface AgentConfig {
  /** Null: made at the first start and kept in the state directory. */
  hostId: string | null;
  listen: { address: string; port: number }[];
  stateDir: string;
  /** The admin socket's directory, `/run/felhom-agent`. */
  runtimeDir: string;
  proxmox: {
    endpoint: string;
    /** `auto`: the node's certificate file. Otherwise 64 lower-case hex digits. */
    fingerprint: 'auto' | (string & {});
    tokenFile: string;
    node: 'auto' | (string & {});
    configDir: string;
    taskLogDir: string;
  };
  backup: {
    storage: string;
    mode: 'snapshot' | 'suspend' | 'stop';
    compress: 'zstd' | 'gzip' | 'lzo' | '0';
    maxAgeMs: number;
    minIntervalMs: number;
  };
  limits: { requestsPerSecond: number; streams: number };
}
