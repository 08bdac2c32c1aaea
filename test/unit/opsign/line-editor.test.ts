import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineEditor } from '#opsign/line-editor';

const typed = (...chunks: string[]) => {
  const editor = createLineEditor();
  const echo = chunks.map((chunk) => editor.type(chunk)).join('');
  return { text: editor.text(), outcome: editor.outcome(), echo };
};

describe('a line typed in raw mode', () => {
  test.each([
    ['is entered', ['abc\r'], 'abc', 'entered'],
    ['ends with either end of line', ['abc\n'], 'abc', 'entered'],
    ['comes a key at a time', ['a', 'b', '\r'], 'ab', 'entered'],
    ['is not over yet', ['abc'], 'abc', 'typing'],
    ['is empty', ['\r'], '', 'entered'],
    ['what follows its end is dropped', ['abc\rdef\r', 'ghi'], 'abc', 'entered'],
    ['rubs out with DEL', ['abd\x7fc\r'], 'abc', 'entered'],
    ['rubs out with BS', ['abd\bc\r'], 'abc', 'entered'],
    ['rubs out whole characters', ['a\u{1f600}\x7fb\r'], 'ab', 'entered'],
    ['rubs out no more than there is', ['a\x7f\x7f\x7fb\r'], 'b', 'entered'],
    ['starts anew with Ctrl-U', ['abc\x15def\r'], 'def', 'entered'],
    ['is interrupted', ['ab\x03c\r'], 'ab', 'interrupted'],
    ['is given up', ['\x04'], '', 'ended'],
    ['is not given up once it holds something', ['ab\x04c\r'], 'abc', 'entered'],
    ['cursor keys do nothing', ['ab\x1b[Dc\x1bOA\x1b[3~d\x1b[1;5C\r'], 'abcd', 'entered'],
    ['also where they come in pieces', ['a\x1b', '[', '1;5', 'Cb\r'], 'ab', 'entered'],
    ['marks around a paste are no part of it', ['\x1b[200~abc\x1b[201~\r'], 'abc', 'entered'],
    ['Escape does not hide its end', ['ab\x1b\r'], 'ab', 'entered'],
    ['Escape does not hide Ctrl-C', ['ab\x1b\x03'], 'ab', 'interrupted'],
    ['other controls do nothing', ['a\x00\x01\tb\x1a\x1c\u202e\u200bc\r'], 'abc', 'entered'],
    ['letters of all scripts count', ['pässwörд 密\r'], 'pässwörд 密', 'entered'],
  ])('%s', (_what, chunks, text, outcome) => {
    expect(typed(...chunks)).toMatchObject({ text, outcome });
  });

  test('shows what is left on the screen', () => {
    expect(typed('abd\x7fc\x1b[D\r').echo).toBe('abd\b \bc');
    expect(typed('ab\x15c').echo).toBe('ab\b \b\b \bc');
  });

  test('has an end', () => {
    expect(typed('x'.repeat(100_000)).text).toHaveLength(1024);
  });

  test('never shows a control but its own, nor keeps one, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), (chunks) => {
        const { text, echo } = typed(...chunks);
        expect(text).not.toMatch(/\p{Cc}/u);
        expect(echo.replaceAll('\b \b', '')).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
