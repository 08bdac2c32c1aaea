/** `disks eject`: has a drive taken from this guest, and says when it may be pulled out. */
import { Type } from 'typebox';
import { Check } from 'typebox/schema';
import { type TypeOf, typed } from '#shared/endpoint';
import { Vmid } from '#shared/ids';
import { inert } from '#shared/inert';
import { ejectDisk, listDisks } from '#shared/wire/disks';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { FlowPorts, Outcome } from './flow.ts';
import { findPlace } from './listing.ts';
import { settle } from './settle.ts';

type Answer =
  | { kind: 'ejected' }
  | { kind: 'refused'; code: string; sentence: string; guests: readonly number[] }
  | { kind: 'unknown'; sentence: string };

const Refusal = typed(Type.Object({ ejected: Type.Literal(false), dependent_guests: Type.Array(Vmid) }));

const guestsIn = (data: unknown): readonly number[] =>
  Check(Refusal, data) ? (data as TypeOf<typeof Refusal>).dependent_guests : [];

const ask = async ({ agent, signal }: FlowPorts, where: string): Promise<Answer> => {
  try {
    const { ejected } = await agent.call(ejectDisk, { body: { where }, signal });
    return ejected
      ? { kind: 'ejected' }
      : { kind: 'unknown', sentence: 'The agent on the host does not say that it is ejected.' };
  } catch (error) {
    if (!(error instanceof AgentError) || isUnknownOutcome(error)) return { kind: 'unknown', sentence: sentenceOf(error) };
    return { kind: 'refused', code: error.code, sentence: error.message, guests: guestsIn(error.data) };
  }
};

const isOpen = (answer: Answer): boolean =>
  answer.kind === 'unknown' || (answer.kind === 'refused' && answer.code === 'drive-not-answering');

const STAY = 'Do not pull it out.';

export const createEject = (ports: FlowPorts) => {
  const { agent, talk, signal } = ports;

  const tellFailure = (answer: Exclude<Answer, { kind: 'ejected' }>, wanted: string, wasLost: boolean): Outcome => {
    talk.tell(answer.sentence);
    if (answer.kind === 'refused' && !isOpen(answer) && !wasLost) {
      if (answer.guests.length > 0) talk.tell(`Guests that would lose something by it: ${answer.guests.join(', ')}.`);
      return 'refused';
    }
    talk.tell(`Whether it is ejected cannot be known from here. ${STAY} Wait a minute, then look, and ask the same again:`);
    const typed = /^[A-Za-z0-9/._:-]+$/.test(wanted) ? wanted : '<name>';
    talk.answer('felhom-controller disks list', `felhom-controller disks eject ${typed}`);
    return 'not-known';
  };

  /** @throws AgentError where not even the drives can be listed */
  return async (wanted: string): Promise<Outcome> => {
    const place = findPlace(await agent.call(listDisks, { signal }), wanted);
    if ('sentence' in place) {
      talk.tell(place.sentence);
      return 'refused';
    }
    const again = () => ask(ports, place.where);
    const first = await again();
    const answer = await settle(ports, first, {
      isOpen,
      again,
      words: (one) => (one.kind === 'ejected' ? '' : `${one.sentence} ${STAY} Asking again …`),
    });
    if (answer.kind === 'ejected') {
      talk.answer(`${inert(wanted)} is ejected: nothing uses the drive any more, and all is written. You may pull it out now.`);
      return 'done';
    }
    // After an answer that was lost, "nothing is connected there" does not say that all was written.
    return tellFailure(answer, wanted, first.kind === 'unknown');
  };
};
