/** Where and how Perl's JSON reader gives up on a text; nothing for a good one. */

const WHERE = 'at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.\n';

const NEITHER = 'malformed JSON string, neither tag, array, object, number, string or atom';

class Bad extends Error {
  readonly offset: number;
  constructor(what: string, offset: number) {
    super(what);
    this.offset = offset;
  }
}

const scan = (text: string): void => {
  let at = 0;
  const space = (): void => {
    while (/[ \t\r\n]/.test(text[at] ?? '')) at += 1;
  };
  const string = (): void => {
    at += 1;
    while (text[at] !== '"') {
      if (at >= text.length) throw new Bad('unexpected end of string while parsing JSON string', at);
      at += text[at] === '\\' ? 2 : 1;
    }
    at += 1;
  };
  const members = (close: string, kind: string, member: () => void): void => {
    at += 1;
    space();
    if (text[at] === close) {
      at += 1;
      return;
    }
    for (;;) {
      member();
      space();
      if (text[at] === close) break;
      if (text[at] !== ',') throw new Bad(`, or ${close} expected while parsing ${kind}`, at);
      at += 1;
      space();
    }
    at += 1;
  };
  const value = (): void => {
    space();
    const atom = /^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(text.slice(at));
    if (text[at] === '{')
      members('}', 'object/hash', () => {
        if (text[at] !== '"') throw new Bad('malformed JSON string, neither tag, array, object, number, string or atom', at);
        string();
        space();
        if (text[at] !== ':') throw new Bad("':' expected", at);
        at += 1;
        value();
      });
    else if (text[at] === '[') members(']', 'array', value);
    else if (text[at] === '"') string();
    else if (atom) at += atom[0].length;
    else throw new Bad(NEITHER, at);
  };
  value();
  space();
  if (at < text.length) throw new Bad('garbage after JSON object', at);
};

export const jsonProblem = (text: string): string | undefined => {
  try {
    scan(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof Bad)) throw error;
    const rest = text.slice(error.offset);
    return `${error.message}, at character offset ${error.offset} (before "${rest === '' ? '(end of string)' : rest}") ${WHERE}`;
  }
};
