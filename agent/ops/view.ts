/** Operations as guests and root see them. Pure. */
import { timestamp } from '#shared/ids';
import { int } from '#shared/int';
import type { Op as WireOp } from '#shared/wire/ops';
import type { Op } from './op.ts';
import { signCommand } from './sign-command.ts';

export const opView = (op: Op, hostScope: string): WireOp => ({
  ...{ id: op.id, op: op.op, vmid: op.vmid, host_scope: hostScope, durable_id: op.durableId, fstype: op.fstype },
  ...{ device: op.device, role: op.role, model: op.model, serial: op.serial, size_bytes: int(op.sizeBytes) },
  ...{ state: op.state, reason: op.reason, job_id: op.jobId },
  created_at: timestamp(op.createdAt),
  expires_at: timestamp(op.expiresAt),
  sign_command: op.state === 'open' ? signCommand(hostScope, op) : '',
});
