/** felhom-opsign, the shipped file, on a real terminal and without one: what is asked, what is never shown, what is signed. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeKey } from '#opsign/keys';
import { driveDurableId } from '#shared/durable-id';
import { type Bench, type Ran, readIn, setUpOpsign } from './opsign-terminal.ts';

const PASSPHRASE = 'correct horse battery';
const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';
const ID = driveDurableId({
  role: 'backup',
  model: 'WDC WD40EFRX',
  serial: 'WD-WCC7K4AB12CD',
  sizeBytes: 4_000_787_030_016,
  digest: '7k2m9q4w8x1c5v3b6n0zhjdfgr',
});
const WISH = `-op storage_wipe -host ${HOST} -durable-id ${ID}`;

/** What the terminal shows when each thing is asked for. */
const NEW = 'characters; nothing is shown): ';
const AGAIN = 'once more: ';
const DIGITS = 'its serial number: ';
const SECRET = '(nothing is shown): ';

let bench: Bench;
beforeAll(() => {
  bench = setUpOpsign();
  const { privatePem, publicLine } = makeKey({ name: 'karl', passphrase: PASSPHRASE });
  mkdirSync(join(bench.directory, 'home/.config/felhom'), { recursive: true });
  writeFileSync(join(bench.directory, 'home/.config/felhom/opsign.key'), privatePem, { mode: 0o600 });
  writeFileSync(join(bench.directory, 'opsign.keys'), `${publicLine}\n`);
});
afterAll(() => bench.remove());

/** Without any terminal, and with an environment that holds nothing but a passphrase that nobody asks for. */
const alone = (args: readonly string[], input = '') => {
  const { status, stdout, stderr } = spawnSync('/usr/bin/setsid', ['-w', join(bench.directory, 'felhom-opsign'), ...args], {
    env: { PATH: '/usr/bin:/bin', HOME: join(bench.directory, 'home'), PASSPHRASE, FELHOM_PASSPHRASE: PASSPHRASE },
    cwd: bench.directory,
    encoding: 'utf8',
    input,
  });
  return { status, stdout, stderr };
};

/** Of the terminal, before and after. */
const watched = (command: string): string => `stty -a > before; ${command}; status=$?; stty -a > after; exit $status`;
const isRestored = ({ read }: Ran): void => {
  expect(read('before')).toMatch(/\bicanon\b/);
  expect(read('after')).toBe(read('before'));
};

describe('the shipped file', () => {
  test('needs nothing but Node', () => {
    const text = readIn(bench.directory)('felhom-opsign');
    const imports = [...text.matchAll(/^import\b.*?\bfrom\s*"([^"]+)"/gm)].map(([, from]) => from ?? '');
    expect(imports.length).toBeGreaterThan(3);
    expect(imports.filter((from) => !isBuiltin(from))).toEqual([]);
    expect(text).not.toMatch(/\bimport\(/);
    expect(alone(['--version'])).toEqual({ status: 0, stdout: '9.8.7\n', stderr: '' });
  });

  test('is small', () => expect(statSync(join(bench.directory, 'felhom-opsign')).size).toBeLessThan(256 * 1024));

  test('says what it can do', () => {
    const { status, stdout } = alone(['-help']);
    expect(status).toBe(0);
    for (const word of ['keygen', 'pubkey', 'inspect', 'verify', '-durable-id', 'Exit status:']) expect(stdout).toContain(word);
  });
});

describe.concurrent('keygen', () => {
  test('asks twice, shows nothing of it, makes a file of the operator only, and prints its public line', async () => {
    const ran = await bench.onTerminal(
      watched(
        'felhom-opsign keygen -name anna -key keys/new.key 2> talk > public; stat -c %a keys/new.key; felhom-opsign pubkey -key=keys/new.key > again',
      ),
      [NEW, 'too short\r'],
      [NEW, `${PASSPHRASE}\r`],
      [AGAIN, 'something else\r'],
      [NEW, `${PASSPHRASE}\r`],
      [AGAIN, `${PASSPHRASE}x\x7f\r`],
    );
    expect(ran.status).toBe(0);
    expect(ran.screen).toContain('shorter than 12 characters');
    expect(ran.screen).toContain('These two are not the same.');
    expect(ran.screen).toContain('\n600\n');
    expect(ran.screen).not.toMatch(/short\n|horse|else/);
    expect(ran.read('public')).toMatch(/^active [A-Za-z0-9_-]{43} anna\n$/);
    expect(ran.read('talk')).toContain('opsign.keys on every host');
    expect(ran.read('again')).toBe(ran.read('public'));
    isRestored(ran);
  });

  test('never overwrites a key, and asks nothing before it says so', async () => {
    const { status, screen, read } = await bench.onTerminal(
      'echo precious > old.key; felhom-opsign keygen -name anna -key old.key',
    );
    expect([status, read('old.key')]).toEqual([1, 'precious\n']);
    expect(screen).toContain('exists already');
    expect(screen).not.toContain('passphrase');
  });

  test('gives up after three tries, and makes nothing', async () => {
    const turns: [string, string][] = ['1\r', '2\r', '3\r'].map((typed) => [NEW, typed]);
    const { status, read } = await bench.onTerminal('felhom-opsign keygen -name anna -key none.key', ...turns);
    expect([status, read('none.key')]).toEqual([1, '']);
  });
});

describe.concurrent('signing', () => {
  test('says what is destroyed, asks for the serial number and the passphrase, prints one line', async () => {
    const ran = await bench.onTerminal(
      watched(`felhom-opsign ${WISH} > grant`),
      [DIGITS, '9999\r'],
      [DIGITS, '12cx\x7fd\r'],
      [SECRET, 'wrong\r'],
      [SECRET, `${PASSPHRASE}\r`],
    );
    expect(ran.status).toBe(0);
    for (const shown of ['A BACKUP DRIVE is erased', HOST, 'WDC_WD40EFRX, 4.0 TB', 'cannot be undone', '12cx\b \bd\n'])
      expect(ran.screen).toContain(shown);
    expect(ran.screen).not.toMatch(/wrong|horse|12CD/);
    const line = ran.read('grant');
    expect(line).toMatch(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}\n$/);
    expect(alone(['verify', '-keys', 'opsign.keys'], line)).toMatchObject({ status: 0 });
    expect(alone(['inspect', line.trim()]).stdout).toContain(`durable id  ${ID}\n`);
    isRestored(ran);
  });

  test('where stderr goes elsewhere, the terminal shows it all the same', async () => {
    const { screen, read } = await bench.onTerminal(`felhom-opsign ${WISH} > grant 2> talk`, [DIGITS, '\x04']);
    expect(screen).toContain('A BACKUP DRIVE is erased');
    expect(read('talk')).toContain('A BACKUP DRIVE is erased');
  });

  test('a number that was pasted along with the command is no answer', async () => {
    const { screen, status, read } = await bench.onTerminal(
      `printf 'ready: '; read -r line; felhom-opsign ${WISH} > grant`,
      ['ready: ', `a command\r12CD\r${PASSPHRASE}\r`],
      [DIGITS, '\x04'],
    );
    expect([status, read('grant')]).toEqual([1, '']);
    expect(screen).toContain('not answered');
    expect(screen).not.toContain('Passphrase');
  });

  test.each<[string, [string, string][], string, number]>([
    [
      'three wrong numbers',
      [
        [DIGITS, '1\r'],
        [DIGITS, '12CE\r'],
        [DIGITS, '\r'],
      ],
      'Nothing was signed: the drive',
      1,
    ],
    [
      'three wrong passphrases',
      [
        [DIGITS, '12CD\r'],
        [SECRET, 'a\r'],
        [SECRET, '\r'],
        [SECRET, `${PASSPHRASE} \r`],
      ],
      'Nothing was signed: the passphrase',
      1,
    ],
    ['Ctrl-C at the number', [[DIGITS, '12\x03']], 'ended with Ctrl-C', 130],
    [
      'Ctrl-C at the passphrase',
      [
        [DIGITS, '12CD\r'],
        [SECRET, `${PASSPHRASE}\x03`],
      ],
      'ended with Ctrl-C',
      130,
    ],
    [
      'Ctrl-D',
      [
        [DIGITS, '12CD\r'],
        [SECRET, '\x04'],
      ],
      'not answered',
      1,
    ],
  ])('%s: nothing is signed, and the terminal is as it was', async (_what, turns, said, status) => {
    const ran = await bench.onTerminal(watched(`felhom-opsign ${WISH} > grant`), ...turns);
    expect([ran.status, ran.read('grant')]).toEqual([status, '']);
    expect(ran.screen).toContain(said);
    expect(ran.screen).not.toContain('horse');
    isRestored(ran);
  });

  test.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const)(
    '%s while it asks: the terminal is as it was',
    async (signal) => {
      const command = `sh -c 'echo $$ > pid; exec felhom-opsign ${WISH} > grant'`;
      const ran = await bench.onTerminal(watched(command), [DIGITS, (read) => void process.kill(Number(read('pid')), signal)]);
      expect(ran.status).toBeGreaterThan(128);
      expect(ran.read('grant')).toBe('');
      isRestored(ran);
    },
  );

  test('a full disk is not taken for a signature', async () => {
    const ran = await bench.onTerminal(`felhom-opsign ${WISH} > /dev/full`, [DIGITS, '12CD\r'], [SECRET, `${PASSPHRASE}\r`]);
    expect(ran.status).toBe(1);
    expect(ran.screen).toContain('could not be written');
  });
});

/** What differs from one run to the next. */
const alike = (text: string, home: string): string =>
  text
    .replaceAll(home, 'HOME')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/g, 'TIME')
    .replaceAll(/^active \S+/gm, 'active KEY')
    .replaceAll(/^eyJ\S+$/gm, 'LINE');

test("README's transcript is what the terminal shows", async () => {
  const [, chapter = ''] = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8').split('### Sign a wipe\n');
  const [made = '', signed = ''] = [...chapter.matchAll(/^```console\n\$ ([\s\S]*?)^```$/gm)].map(([, text]) => text ?? '');
  const home = join(bench.directory, 'karl');
  const run = async (transcript: string, ...turns: [string, string][]) => {
    const [command = ''] = transcript.split('\n');
    const { screen } = await bench.onTerminal(`HOME=${home} ${command}`, ...turns);
    expect(alike(`${command}\n${screen}`, home)).toBe(alike(transcript, '/home/karl'));
  };
  await run(made, [NEW, `${PASSPHRASE}\r`], [AGAIN, `${PASSPHRASE}\r`]);
  await run(signed, [DIGITS, '12CD\r'], [SECRET, `${PASSPHRASE}\r`]);
});

describe('without a terminal', () => {
  test.each([
    ['signing', WISH.split(' ')],
    ['keygen', ['keygen', '-name', 'anna', '-key', 'none.key']],
  ])('%s takes nothing from stdin, and says why', (_what, args) => {
    const { status, stdout, stderr } = alone(args, `12CD\n${PASSPHRASE}\n${PASSPHRASE}\n`);
    expect([status, stdout, readIn(bench.directory)('none.key')]).toEqual([1, '', '']);
    expect(stderr).toMatch(/^felhom-opsign: There is no terminal here\. .*\n$/);
  });
});

/** T26: a command line as a hostile drive or page would have it. */
const LIVELY = `x'";reboot;\`id\`$(id)|\u001b[2J\u202e\n`;
describe('what is not plain is refused, unsigned and unshown', () => {
  test.each<[string, string[], number]>([
    ['-op', ['-op', LIVELY, '-host', HOST, '-durable-id', ID], 1],
    ['-host', ['-op', 'storage_wipe', '-host', LIVELY, '-durable-id', ID], 1],
    ['-durable-id', ['-op', 'storage_wipe', '-host', HOST, `-durable-id=${LIVELY}`], 1],
    ['-key', [...WISH.split(' '), '-key', LIVELY], 1],
    ['-name', ['keygen', '-key', 'none.key', '-name', LIVELY], 1],
    ['-keys', ['verify', '-keys', LIVELY, 'a.b.c'], 1],
    ['a line', ['inspect', LIVELY], 1],
    ['an option', [`-${LIVELY}`], 2],
    ['a command', [LIVELY], 2],
  ])('%s', (_what, args, wanted) => {
    const { status, stdout, stderr } = alone(args);
    expect(status).toBe(wanted);
    expect(stderr).toMatch(/^felhom-opsign: /);
    expect(`${stdout}${stderr}`).toMatch(/^[\n -~]*$/);
    expect(readIn(bench.directory)('none.key')).toBe('');
  });

  test('nothing but a wipe is signed', () => {
    const { stderr } = alone(['-op', 'storage_wip\u0435', '-host', HOST, '-durable-id', ID]);
    expect(stderr).toBe('felhom-opsign: Only -op storage_wipe can be signed, not "storage_wip\\u{435}".\n');
  });

  test.each([
    ['-op', `-host ${HOST} -durable-id ${ID}`],
    ['-host', `-op storage_wipe -durable-id ${ID}`],
    ['-durable-id', `-op storage_wipe -host ${HOST}`],
  ])('no %s is a command line that is not understood', (missing, rest) => {
    expect(alone(rest.split(' '))).toEqual({
      status: 2,
      stdout: '',
      stderr: `felhom-opsign: Missing: ${missing}. See "felhom-opsign --help".\n`,
    });
  });
});
