/** Every adapter, loaded on use: a child carries the driver of its own application only. */
import type { AdapterName } from '#shared/quiesce/config';
import type { Adapter } from './adapter.ts';

export const ADAPTERS: { readonly [N in AdapterName]: () => Promise<Adapter<N>> } = {
  postgres: async () => (await import('./postgres.ts')).postgres,
  mysql: async () => (await import('./mysql.ts')).mysql,
  redis: async () => (await import('./redis.ts')).redis,
  sqlite: async () => (await import('./sqlite.ts')).sqlite,
  docker: async () => (await import('./docker.ts')).docker,
  systemd: async () => (await import('./systemd.ts')).systemd,
  command: async () => (await import('./command.ts')).command,
};
