/** What the prechecks say: a backup may start, or the first thing that forbids it. */
import type { GuestRules } from '#agent/config';
import type { GuestResource } from '#agent/ports/proxmox';
import type { ProblemCode } from '#shared/problems';

export type Mode = GuestRules['mode'];

export const PRECHECK_CODES = [
  'pmxcfs-down',
  'proxmox-unreachable',
  'guest-gone',
  'guest-elsewhere',
  'guest-unreadable',
  'guest-locked',
  'target-missing',
  'target-inactive',
  'target-not-mounted',
  'target-read-only',
  'target-full',
  'thin-pool-full',
  'node-lock-busy',
  'guest-fuse',
  'guest-mount-dead',
  'guest-sync-slow',
  'suspend-no-room',
] as const satisfies readonly ProblemCode[];
export type PrecheckCode = (typeof PRECHECK_CODES)[number];

export interface Finding {
  /** For customers: plain words, no paths. */
  sentence: string;
  /** Figures, or what was seen. */
  evidence: string;
  /** One thing to do. */
  nextStep: string;
}

export type Refusal = Finding & { code: PrecheckCode };

export type Verdict =
  | { ok: true; guest: GuestResource; mode: Mode; configDigest: string; warnings: string[] }
  | (Refusal & { ok: false; guest: GuestResource | null });

/** One thing that must hold; null where it does. */
export interface Check<Facts> {
  code: PrecheckCode;
  find: (facts: Facts) => Finding | null;
}

export const firstRefusal = <Facts>(checks: readonly Check<Facts>[], facts: Facts): Refusal | null => {
  for (const { code, find } of checks) {
    const finding = find(facts);
    if (finding !== null) return { code, ...finding };
  }
  return null;
};
