/** One connection: a line is a request, a line is its answer. When it ends, so does its attempt. */
import type { Socket } from 'node:net';
import type { Clock } from '#shared/clock';
import { errorText } from '#shared/quiesce/plain-text';
import { type Answer, MOST_LINE_BYTES, type Replies, type Request, readRequest, type Verb } from '#shared/quiesce/protocol';
import type { Attempt } from './attempt.ts';
import type { Keeper } from './keeper.ts';
import type { Say } from './log.ts';
import { Refused } from './refused.ts';

const NEWLINE = 0x0a;
/** Longer than an attempt is ever silent: nothing may be asked from the moment all are ready until the data is fixed. */
export const SILENT_MS = 20 * 60_000;
/** A release may come in the middle of a hold; nobody asks for more at once. */
const MOST_UNANSWERED = 16;

/** Calls with each whole line. `tooLong` is called once, and nothing is read after it. */
const readLines = (socket: Socket, line: (text: string) => void, tooLong: () => void): void => {
  let rest = Buffer.alloc(0);
  let given_up = false;
  socket.on('data', (chunk: Buffer) => {
    if (given_up) return;
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(NEWLINE); end >= 0 && end <= MOST_LINE_BYTES; end = rest.indexOf(NEWLINE)) {
      line(rest.subarray(0, end).toString('utf8'));
      rest = rest.subarray(end + 1);
    }
    if (rest.length > MOST_LINE_BYTES) {
      given_up = true;
      rest = Buffer.alloc(0);
      tooLong();
    }
  });
};

/** So that the answer to something that is not a request can still be told from others. */
const idOf = (line: string): number => {
  try {
    const { id } = JSON.parse(line) as { id?: unknown };
    return Number.isSafeInteger(id) ? (id as number) : 0;
  } catch {
    return 0;
  }
};

/** @returns a promise that resolves when the connection has ended and its attempt too */
export const serveConnection = (socket: Socket, keeper: Keeper, say: Say, clock: Clock): Promise<void> => {
  let attempt: Promise<Attempt> | null = null;
  const gone = new AbortController();
  /** Who has stopped in mid-attempt must not keep all others out for ever. */
  let cancelEnd: () => void = () => undefined;
  const heard = (): void => {
    cancelEnd();
    if (!gone.signal.aborted) cancelEnd = clock.after(SILENT_MS, () => socket.destroy());
  };

  const send = (answer: Answer): void => {
    if (!gone.signal.aborted && socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  };
  /** The first `prepare` or `hold` makes this connection's attempt; a refused one may be tried again. */
  const mine = async (): Promise<Attempt> => {
    attempt ??= keeper.begin(gone.signal);
    try {
      return await attempt;
    } catch (error) {
      attempt = null;
      throw error;
    }
  };
  const act = async (request: Request): Promise<Replies[Verb]> => {
    switch (request.verb) {
      case 'status':
        return keeper.status();
      case 'prepare': {
        const begun = await mine();
        return begun.prepare(request);
      }
      case 'hold':
        return (await mine()).hold(request);
      case 'check':
        if (attempt === null) throw new Refused('invalid', 'not now: nothing is ready or held');
        return (await attempt).check();
      case 'release':
        return attempt === null ? { apps: [] } : (await attempt).release();
    }
  };
  let unanswered = 0;
  const answer = async (line: string): Promise<void> => {
    if (socket.destroyed) return;
    // Whoever asks and asks, or reads no answer, must not fill our memory.
    if (unanswered >= MOST_UNANSWERED || socket.writableLength > MOST_LINE_BYTES) return void socket.destroy();
    unanswered += 1;
    await answerOne(line);
    unanswered -= 1;
  };
  const answerOne = async (line: string): Promise<void> => {
    const request = readRequest(line);
    const id = request?.id ?? idOf(line);
    try {
      if (request === null) throw new Refused('invalid', 'this is not a request');
      send({ id, ok: true, data: await act(request) });
    } catch (error) {
      if (error instanceof Refused) return send({ id, ok: false, code: error.code, error: error.message });
      say(3, `a request failed: ${error instanceof Error ? error.stack : String(error)}`);
      send({ id, ok: false, code: 'internal', error: errorText(error) });
    }
  };

  readLines(
    socket,
    (line) => {
      heard();
      void answer(line);
    },
    () => {
      send({ id: 0, ok: false, code: 'invalid', error: `a line may have ${MOST_LINE_BYTES} bytes` });
      socket.destroySoon();
    },
  );

  heard();
  return new Promise((resolve) => {
    const end = async () => {
      if (gone.signal.aborted) return;
      gone.abort();
      cancelEnd();
      socket.destroy();
      const begun = await attempt?.catch(() => null);
      await begun?.end();
      resolve();
    };
    socket.on('error', () => void end());
    socket.once('end', () => void end());
    socket.once('close', () => void end());
  });
};
