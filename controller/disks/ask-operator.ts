/** A wipe that only the operator may permit: what to have signed, by whom, and the signature carried to the agent. */
import { inert } from '#shared/inert';
import type { FormatJob } from '#shared/wire/jobs';
import { grantOp, listOps, type Op } from '#shared/wire/ops';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { FlowPorts, Outcome } from './flow.ts';
import { followJob } from './follow.ts';
import type { FormatAnswer } from './format-answer.ts';
import { settle } from './settle.ts';
import { grantLine, signCommand } from './sign.ts';
import { tellJob } from './tell-end.ts';

type Refusal = Extract<FormatAnswer, { kind: 'operator' }>;

interface Options {
  /** The operator's line, where it is at hand already. */
  grant: string | null;
  /** The command that comes back here. */
  again: string;
}

type Carried =
  | { kind: 'begun'; job: FormatJob }
  /** Accepted before, by whoever carried it. */
  | { kind: 'granted'; jobId: string }
  | { kind: 'refused'; code: string; sentence: string }
  | { kind: 'unknown'; sentence: string };

/** To the minute: `2026-11-23 14:05 UTC`. */
const until = (rfc3339: string): string => `${rfc3339.slice(0, 10)} ${rfc3339.slice(11, 16)} UTC`;

/** Null where it cannot be asked: it is a courtesy. */
const opOf = async ({ agent, signal }: FlowPorts, id: string): Promise<Op | null> => {
  try {
    return (await agent.call(listOps, { signal })).ops.find((op) => op.id === id) ?? null;
  } catch {
    return null;
  }
};

const carry = async ({ agent, signal }: FlowPorts, id: string, grant: string): Promise<Carried> => {
  try {
    return { kind: 'begun', job: await agent.call(grantOp, { params: { id }, body: { grant }, signal }) };
  } catch (error) {
    if (error instanceof AgentError && !isUnknownOutcome(error))
      return { kind: 'refused', code: error.code, sentence: error.message };
    return { kind: 'unknown', sentence: sentenceOf(error) };
  }
};

/** By the operation itself, since a signature is executed once. */
const whatBecame = async (ports: FlowPorts, id: string, before: Carried): Promise<Carried> => {
  const op = await opOf(ports, id);
  if (op?.state === 'granted' && op.job_id !== '') return { kind: 'granted', jobId: op.job_id };
  return before;
};

const explain = async (ports: FlowPorts, { op, device, sentence }: Refusal): Promise<boolean> => {
  const { talk } = ports;
  talk.tell(sentence);
  const command = signCommand(op);
  if (command === null) {
    talk.tell(
      'What the agent wants to have signed is not made as it should be, so it is not shown: do not run anything for it. Tell your operator. Nothing was erased.',
    );
    return false;
  }
  const waiting = await opOf(ports, op.id);
  const howLong = waiting === null ? 'for a day, unless the operator has set another time' : `until ${until(waiting.expires_at)}`;
  talk.tell(
    `Whether ${device} may be wiped is for your operator to decide, who looks after this server. Send them this line, as it is; they run it on the machine that keeps their key:`,
  );
  talk.answer(command);
  talk.tell(
    `It asks them for the last four characters of the drive's serial number, which they look up on the server themselves ("felhom-agent ops show ${inert(op.id)}"; a drive that is in use they take out of use there first, with "felhom-agent ops prepare ${inert(op.id)}"). Then it prints one line, which they send back to you. The agent waits for it ${howLong}.`,
  );
  return true;
};

const later = ({ talk }: FlowPorts, again: string): Outcome => {
  talk.tell('Nothing was erased. When you have the line, bring it with the same command; in a file, or from a script:');
  talk.answer(`${again} --grant-file <file>`);
  return 'needs-operator';
};

const NO_LINE =
  'That is not a line as felhom-opsign prints it: one line of letters, digits, dashes and underscores with two dots. It may have been cut off or broken up on its way.';

export const carryGrant = async (ports: FlowPorts, refusal: Refusal, { grant, again }: Options): Promise<Outcome> => {
  const { talk } = ports;
  const { id } = refusal.op;

  /** Null: it was not accepted, and has been told; it may be tried with another line. */
  const bring = async (line: string): Promise<Outcome | null> => {
    const answer = await settle(ports, await carry(ports, id, line), {
      isOpen: ({ kind }) => kind === 'unknown',
      again: async () =>
        whatBecame(ports, id, { kind: 'unknown', sentence: 'The agent has not said yet that it has the signature.' }),
      words: (one) =>
        one.kind === 'unknown' ? `${one.sentence} Whether it took the signature cannot be known from here. Asking …` : '',
    });
    if (answer.kind === 'refused') {
      talk.tell(answer.sentence);
      return null;
    }
    if (answer.kind === 'unknown') {
      talk.tell(
        'Whether the agent took the signature cannot be known from here. Leave the drive plugged in, wait a minute, and ask again:',
      );
      talk.answer(again);
      return 'not-known';
    }
    talk.tell('The signature was accepted, and the drive is being wiped. Leave it plugged in.');
    const job =
      answer.kind === 'begun' ? await followJob(ports, answer.job.job_id, answer.job) : await followJob(ports, answer.jobId);
    return tellJob(ports, job);
  };

  if (grant !== null) {
    const line = grantLine(grant);
    if (line === null) talk.tell(NO_LINE);
    const outcome = line === null ? null : await bring(line);
    return outcome ?? 'needs-operator';
  }
  if (!(await explain(ports, refusal))) return 'refused';
  for (;;) {
    const typed = ((await talk.ask?.("The operator's line (Enter: later): ")) ?? '').trim();
    if (typed === '') return later(ports, again);
    const line = grantLine(typed);
    if (line === null) talk.tell(NO_LINE);
    const outcome = line === null ? null : await bring(line);
    if (outcome !== null) return outcome;
  }
};
