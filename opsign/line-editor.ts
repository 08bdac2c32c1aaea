/** What keys do to a line of text in a terminal that is in raw mode. Pure. */

/** `ended`: Ctrl-D on an empty line. */
export type Outcome = 'typing' | 'entered' | 'interrupted' | 'ended';

export interface LineEditor {
  /** Takes what was typed. Whatever follows the end of the line is dropped. @returns what to show, for a line that may be seen. */
  type: (chunk: string) => string;
  outcome: () => Outcome;
  text: () => string;
}

/** More is nobody's passphrase or serial number. */
const LINE_CHARS = 1024;

const ESCAPE = '\x1b';
const CTRL_C = '\x03';
const CTRL_D = '\x04';
const CTRL_U = '\x15';
const BACKSPACES = ['\x7f', '\b'];
/** Takes the last character off the screen. */
const RUB_OUT = '\b \b';

export const createLineEditor = (): LineEditor => {
  let chars: string[] = [];
  let sequence = '';
  let outcome: Outcome = 'typing';

  const rubOut = (count: number): string => {
    const gone = chars.slice(chars.length - count);
    chars = chars.slice(0, chars.length - count);
    return RUB_OUT.repeat(gone.length);
  };

  /** Of a cursor or function key, which has no place on this line. ECMA-48, 5.4, and xterm's SS3. Keys that end a line still do. */
  const inSequence = (char: string): boolean => {
    if (char === ESCAPE || sequence === '') sequence = char === ESCAPE ? ESCAPE : '';
    else if (/\p{Cc}/u.test(char)) sequence = '';
    else {
      const goesOn = sequence === ESCAPE ? char === '[' || char === 'O' : sequence.startsWith(`${ESCAPE}[`) && /[ -?]/.test(char);
      sequence = goesOn ? sequence + char : '';
      return true;
    }
    return sequence !== '';
  };

  /** @returns what to show. */
  const key = (char: string): string => {
    if (char === '\r' || char === '\n') outcome = 'entered';
    else if (char === CTRL_C) outcome = 'interrupted';
    else if (char === CTRL_D) outcome = chars.length === 0 ? 'ended' : 'typing';
    else if (BACKSPACES.includes(char)) return rubOut(Math.min(1, chars.length));
    else if (char === CTRL_U) return rubOut(chars.length);
    else if (!/\p{C}/u.test(char) && chars.length < LINE_CHARS) {
      chars.push(char);
      return char;
    }
    return '';
  };

  return {
    type: (chunk) => {
      let echo = '';
      for (const char of chunk) if (outcome === 'typing' && !inSequence(char)) echo += key(char);
      return echo;
    },
    outcome: () => outcome,
    text: () => chars.join(''),
  };
};
