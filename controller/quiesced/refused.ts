/** A request that is not done, with the code and the sentence that the controller gets. */
import type { Refusal } from '#shared/quiesce/protocol';

export class Refused extends Error {
  override readonly name = 'Refused';
  readonly code: Refusal;

  constructor(code: Refusal, message: string) {
    super(message);
    this.code = code;
  }
}
