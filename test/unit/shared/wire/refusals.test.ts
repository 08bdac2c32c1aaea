import { expect, test } from 'vitest';
import { ERROR_STATUS, type ErrorCode } from '#shared/errors';
import { getBackupDue, getBackupStatus } from '#shared/wire/backups';
import { getHostMetrics } from '#shared/wire/metrics';
import { getStorage } from '#shared/wire/storage';

const READS = [getStorage, getHostMetrics, getBackupDue, getBackupStatus];

test.each([
  ['proxmox-unreachable', 200],
  ['not-known', 200],
  ['guest-not-found', 200],
  ['guest-elsewhere', 200],
  ['duplicate-instance', 409],
  ['token-missing', 401],
  ['scope-missing', 403],
  ['rate-limited', 429],
  ['internal', 500],
] satisfies [ErrorCode, number][])('a read refused with %s is answered %i', (code, status) => {
  for (const { refusal } of READS) {
    expect(refusal?.({ status: ERROR_STATUS[code], code, error: 'why', vmid: 101, body: undefined })).toEqual({
      status,
      data: null,
    });
  }
});
