import { describe, expect, test } from 'vitest';
import { readArguments, UsageError } from '#opsign/arguments';

const WISH = ['-op', 'storage_wipe', '-host', 'pve1-abc', '-durable-id', 'byid:x'];
const OPTIONS = { op: 'storage_wipe', host: 'pve1-abc', 'durable-id': 'byid:x' };

const read = (...words: string[]) => {
  const { command, options, line } = readArguments(words);
  return { command, options: Object.fromEntries(options), line };
};

describe('the command line', () => {
  test.each([
    ['-op x', WISH],
    ['--op x', ['--op', 'storage_wipe', '--host', 'pve1-abc', '--durable-id', 'byid:x']],
    ['-op=x', ['-op=storage_wipe', '-host=pve1-abc', '-durable-id=byid:x']],
    ['--op=x', ['--op=storage_wipe', '--host=pve1-abc', '--durable-id=byid:x']],
    ['all of them, in any order', ['--host=pve1-abc', '-durable-id', 'byid:x', '-op=storage_wipe']],
  ])('%s is the same', (_form, words) => {
    expect(read(...words)).toEqual({ command: 'sign', options: OPTIONS, line: null });
  });

  test.each([
    ['keygen -name karl -key f', { command: 'keygen', options: { name: 'karl', key: 'f' }, line: null }],
    ['pubkey', { command: 'pubkey', options: {}, line: null }],
    ['pubkey --key=-f', { command: 'pubkey', options: { key: '-f' }, line: null }],
    ['inspect a.b.c', { command: 'inspect', options: {}, line: 'a.b.c' }],
    ['verify a.b.c -keys f', { command: 'verify', options: { keys: 'f' }, line: 'a.b.c' }],
    ['verify -keys f', { command: 'verify', options: { keys: 'f' }, line: null }],
    ['--help', { command: 'help', options: {}, line: null }],
    ['-h', { command: 'help', options: {}, line: null }],
    ['keygen -help', { command: 'help', options: {}, line: null }],
    ['-version', { command: 'version', options: {}, line: null }],
    ['-V', { command: 'version', options: {}, line: null }],
  ])('%s', (words, asked) => {
    expect(read(...words.split(' '))).toEqual(asked);
  });

  test('nothing at all asks for help', () => expect(read()).toMatchObject({ command: 'help' }));

  test('a value may hold an equals sign', () => {
    expect(read('keygen', '-name=karl', '-key=a=b').options).toEqual({ name: 'karl', key: 'a=b' });
  });

  test.each([
    ['an unknown option', [...WISH, '-yes'], /"-yes" is not understood/],
    ['an option of another command', [...WISH, '-name', 'x'], /"-name" is not understood/],
    ['an option twice', [...WISH, '--host=pve2-abc'], /-host is given twice/],
    ['no value at the end', [...WISH.slice(0, -1)], /-durable-id needs a value/],
    ['an option in the place of a value', ['-op', '-host', 'x'], /-op needs a value/],
    ['an empty value', ['-op=', '-host', 'x'], /-op needs a value/],
    ['an empty word as a value', ['-op', '', '-host', 'x'], /-op needs a value/],
    ['a word that belongs to nothing', [...WISH, 'now'], /"now" is not understood/],
    ['two lines', ['inspect', 'a', 'b'], /"b" is not understood/],
    ['three dashes', ['---op', 'x'], /"---op" is not understood/],
    ['two dashes alone', [...WISH, '--'], /"--" is not understood/],
    ['a dash alone', [...WISH, '-'], /"-" is not understood/],
    ['an option that every object has', ['-constructor', 'x'], /is not understood/],
    ['a value for help', ['--help=x'], /is not understood/],
    ['another command', ['wipe'], /no command "wipe"/],
    ['a command that every object has', ['toString'], /no command "toString"/],
    ['what happens without a command, as one', ['sign', ...WISH], /no command "sign"/],
    ['an empty command', [''], /no command ""/],
    ['a signature without its list of keys', ['verify', 'a.b.c'], /Missing: -keys/],
    ['half of a wish', ['-op', 'storage_wipe'], /Missing: -host, -durable-id\./],
    ['another case', ['-Op', 'x'], /is not understood/],
  ])('%s is refused', (_what, words, why) => {
    const reading = () => readArguments(words);
    expect(reading).toThrow(UsageError);
    expect(reading).toThrow(why);
  });

  test('what is refused is shown so that it does no harm, and not endlessly', () => {
    expect(() => readArguments([`\u001b[2J\u202e${'x'.repeat(1000)}`])).toThrow(
      new UsageError(`There is no command "\\u{1b}[2J\\u{202e}${'x'.repeat(75)}...".`),
    );
  });
});
