/**
 * What an answer of `POST /disks/format` means. Success is only what says so in the endpoint's shape; a way forward is only one that is
 * complete; all else was refused, or cannot be known.
 */
import { Type } from 'typebox';
import { Check } from 'typebox/schema';
import { isDurableId } from '#shared/durable-id';
import { type TypeOf, typed } from '#shared/endpoint';
import { HostId } from '#shared/ids';
import { type FormatDisk, type Formatted, formatDisk } from '#shared/wire/disks';
import type { AgentClient } from '../ports/agent-client.ts';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import { kernelName } from './words.ts';

const Device = Type.String({ minLength: 1, maxLength: 255 });

const NeedsConfirmation = typed(
  Type.Object({
    formatted: Type.Literal(false),
    needs_confirmation: Type.Literal(true),
    durable_id: Type.String(),
    device: Device,
  }),
);

const PendingOp = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$' }),
  op: Type.Literal('storage_wipe'),
  host_scope: HostId,
  durable_id: Type.String(),
  fstype: Type.String({ pattern: '^[a-z0-9]{1,32}$' }),
});
const PendingOpShape = typed(PendingOp);
export type PendingOp = TypeOf<typeof PendingOpShape>;

const OperatorNeeded = typed(Type.Object({ formatted: Type.Literal(false), device: Device, pending_op: PendingOp }));

export type FormatAnswer =
  | { kind: 'formatted'; reply: Formatted }
  | { kind: 'running'; jobId: string }
  /** `device`: the kernel's name of the whole drive that would be erased. */
  | { kind: 'confirm'; device: string; durableId: string; sentence: string }
  | { kind: 'operator'; device: string; op: PendingOp; sentence: string }
  | { kind: 'refused'; code: string; sentence: string }
  /** Nobody can say whether it was done. */
  | { kind: 'unknown'; sentence: string };

const ofReply = (reply: Formatted): FormatAnswer => {
  if (reply.formatted) return { kind: 'formatted', reply };
  if (reply.job_id !== '') return { kind: 'running', jobId: reply.job_id };
  return { kind: 'unknown', sentence: 'The agent on the host says that it is not done, and not that it is under way.' };
};

const ofRefusal = ({ code, message: sentence, data }: AgentError): FormatAnswer => {
  if (Check(NeedsConfirmation, data)) {
    const { durable_id: durableId, device } = data as TypeOf<typeof NeedsConfirmation>;
    if (isDurableId(durableId)) return { kind: 'confirm', device: kernelName(device), durableId, sentence };
  }
  if (Check(OperatorNeeded, data)) {
    const { pending_op: op, device } = data as TypeOf<typeof OperatorNeeded>;
    if (isDurableId(op.durable_id)) return { kind: 'operator', device: kernelName(device), op, sentence };
  }
  return { kind: 'refused', code, sentence };
};

/** Never rejects. */
export const askFormat = async (
  { agent, signal }: { agent: Pick<AgentClient, 'call'>; signal: AbortSignal },
  body: FormatDisk,
): Promise<FormatAnswer> => {
  try {
    return ofReply(await agent.call(formatDisk, { body, signal }));
  } catch (error) {
    if (error instanceof AgentError && !isUnknownOutcome(error)) return ofRefusal(error);
    return { kind: 'unknown', sentence: sentenceOf(error) };
  }
};
