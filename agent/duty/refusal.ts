/** A precheck that failed, as who asked for a backup is told. Pure. */
import type { PrecheckCode, Refusal } from '#agent/prechecks/verdict';
import { type ErrorCode, FelhomError } from '#shared/errors';

const CODES: Partial<Record<PrecheckCode, ErrorCode>> = {
  'guest-elsewhere': 'guest-elsewhere',
  'guest-gone': 'guest-not-found',
  'guest-unreadable': 'proxmox-failed',
  'proxmox-unreachable': 'proxmox-unreachable',
  'node-lock-busy': 'backup-slot-busy',
};

export const refusalError = ({ code, sentence, evidence }: Refusal): FelhomError =>
  new FelhomError(CODES[code] ?? 'backup-not-possible', sentence, `${code}: ${evidence}`);
