/** Why a format came to nothing. */
import type { FormatFailure } from './protocol.ts';

/** Its message is for the log, never for a customer. */
export class Failed extends Error {
  override readonly name = 'Failed';
  readonly code: FormatFailure;

  constructor(code: FormatFailure, why: string) {
    super(why);
    this.code = code;
  }
}

/** Of a drive that has gone (errno(3)). */
const GONE: ReadonlySet<unknown> = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'ENOMEDIUM']);

/** Anything that was thrown while the drive was touched. */
export const failedBy = (error: unknown): Failed => {
  if (error instanceof Failed) return error;
  const { code, syscall, message = String(error) } = error as { code?: unknown; syscall?: unknown; message?: string };
  if (typeof syscall !== 'string') return new Failed('internal', message);
  return new Failed(GONE.has(code) ? 'changed' : code === 'EBUSY' ? 'busy' : 'io', message);
};
