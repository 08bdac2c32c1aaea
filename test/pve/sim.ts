/** What the areas share: the world, the workers, the clock, and one call. */

import type { Identity } from './access/identity.ts';
import type { Tickets } from './access/tickets.ts';
import type { Params, Value } from './api/validate.ts';
import type { Certificate } from './certificate.ts';
import type { TaskRunner } from './tasks.ts';
import type { createVzdump } from './vzdump/vzdump.ts';
import type { NodeFiles, World } from './world.ts';

export interface Sim {
  readonly world: World;
  readonly files: NodeFiles;
  readonly tasks: TaskRunner;
  readonly tickets: Tickets;
  readonly vzdump: ReturnType<typeof createVzdump>;
  readonly certificate: Certificate;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly startedAtMs: number;
  /** Never settles before the simulator is closed: what an access to a dead NFS server does. */
  hang(): Promise<never>;
  /** Writes the guests' and the storages' configuration to the stand-in for `/etc/pve`. */
  saved(): void;
}

export interface Call {
  readonly sim: Sim;
  readonly world: World;
  readonly who: Identity;
  readonly params: Params;
  /** Seconds since 1970. */
  readonly now: number;
  /** Of an uploaded file. */
  readonly uploadBytes?: number;
}

export type Handler = (call: Call) => unknown;

/** Handlers by `METHOD /template`. */
export type Area = Readonly<Record<string, Handler>>;

/** An answer with more than `data`. */
export class Answer {
  readonly data: unknown;
  readonly total: number | undefined;
  constructor(data: unknown, total?: number) {
    this.data = data;
    this.total = total;
  }
}

/** An answer that is no JSON. */
export class Download {
  readonly text: string;
  readonly filename: string;
  constructor(text: string, filename: string) {
    this.text = text;
    this.filename = filename;
  }
}

export const text = (value: Value | undefined): string | undefined => (typeof value === 'string' ? value : undefined);

export const param = (call: Call, name: string): string => text(call.params[name]) ?? '';

export const optional = (call: Call, name: string): string | undefined => text(call.params[name]);

export const flag = (call: Call, name: string): boolean => text(call.params[name]) === '1';

export const integer = (call: Call, name: string): number | undefined => {
  const value = text(call.params[name]);
  return value === undefined ? undefined : Number(value);
};

export const bit = (value: boolean): 0 | 1 => (value ? 1 : 0);

/** The user as tasks name it. */
export const owner = (call: Call): { user: string; tokenid?: string } =>
  call.who.tokenid === undefined ? { user: call.who.user } : { user: call.who.user, tokenid: call.who.tokenid };
