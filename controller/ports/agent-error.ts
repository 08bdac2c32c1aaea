/** What a call to the agent fails with: one type, a code, a sentence. The agent's own codes pass through as they are. */
import { errorText, plainText } from '#shared/quiesce/plain-text';

/** Codes of this side; every other one is the agent's (#shared/errors). */
const OWN_SENTENCES = {
  'agent-unreachable': 'The agent on the host does not answer.',
  'agent-pin-mismatch':
    "What answers at the agent's address shows another certificate than the pinned one; nothing was sent to it.",
  'agent-answer-unreadable': 'The agent answered something that is not its protocol.',
  'bootstrap-missing': 'There is no bootstrap file: this guest is not enrolled yet, or this user may not read it.',
  'bootstrap-invalid': 'The bootstrap file is not one that the agent makes.',
  cancelled: 'The call was given up.',
} as const;
type OwnCode = keyof typeof OWN_SENTENCES;

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: string;
  /** `data` of the refusal, as it came: whoever reads it checks it. Null where there is none. */
  readonly data: unknown;

  /** `message` is shown to the customer; `cause` goes to the log only. */
  constructor(code: string, message: string, cause?: unknown, data: unknown = null) {
    super(plainText(message), cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }
}

export const ownError = (code: OwnCode, cause?: unknown, sentence: string = OWN_SENTENCES[code]): AgentError =>
  new AgentError(code, sentence, cause);

/** Whatever was thrown, as a sentence. */
export const sentenceOf = (error: unknown): string => (error instanceof AgentError ? error.message : errorText(error));

/** Whether it cannot be known what became of the request: the same one must be asked again. */
export const isUnknownOutcome = (error: unknown): boolean =>
  !(error instanceof AgentError) ||
  ['agent-unreachable', 'agent-answer-unreadable', 'internal', 'cancelled'].includes(error.code);
