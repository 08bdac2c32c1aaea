/** What the main process and the child of an application say to each other. */
import type { QuiesceApp } from '#shared/quiesce/config';
import type { Ready, State } from './adapters/adapter.ts';
import type { Priority } from './log.ts';

export interface Found extends Ready {
  paths: string[] | null;
}

export interface Standing {
  stands: boolean;
  frozen_ms: number | null;
}

export interface Calls {
  /** Takes the application's account and loads its adapter. */
  open: { data: QuiesceApp; reply: null };
  prepare: { data: null; reply: Found };
  look: { data: null; reply: State };
  hold: { data: { state: State; left_ms: number }; reply: null };
  check: { data: null; reply: Standing };
  release: { data: { state: State }; reply: null };
  /** Nothing is held, or all is let go: the child ends. */
  end: { data: null; reply: null };
}
export type Call = keyof Calls;

export type ToChild = { [C in Call]: { id: number; call: C; data: Calls[C]['data'] } }[Call];

export type FromChild =
  | { say: 'reply'; id: number; ok: true; data: unknown }
  | { say: 'reply'; id: number; ok: false; error: string }
  /** Every tick while something is held or let go. */
  | { say: 'alive' }
  /** A command's process group, which has to be ended too when the child is. */
  | { say: 'group'; group: number; runs: boolean }
  | { say: 'line'; priority: Priority; text: string };
