import { expect, test } from 'vitest';
import { bootPartitions } from '#agent/ports/boot-entry';

/** A node of a device path: type, subtype, length, content. */
const node = (type: number, subtype: number, content: Buffer): Buffer => {
  const head = Buffer.from([type, subtype, 0, 0]);
  head.writeUInt16LE(4 + content.length, 2);
  return Buffer.concat([head, content]);
};

const hardDrive = (partition: number, signature: string, format: number, kind: number): Buffer => {
  const content = Buffer.alloc(38);
  content.writeUInt32LE(partition, 0);
  Buffer.from(signature, 'hex').copy(content, 20);
  content[36] = format;
  content[37] = kind;
  return node(4, 1, content);
};

const END = node(0x7f, 0xff, Buffer.alloc(0));
const FILE = node(4, 4, Buffer.from('\\EFI\\proxmox\\shimx64.efi\0', 'utf16le'));
/** As it stands on the disk: the first three numbers with their little end first. */
const GUID = 'dfbc0aa1b2c3d44e8f000102030405ff';
const GUID_TEXT = 'a10abcdf-c3b2-4ed4-8f00-0102030405ff';

const variable = (path: Buffer, description = 'proxmox'): Buffer => {
  const option = Buffer.alloc(6);
  option.writeUInt32LE(1, 0);
  option.writeUInt16LE(path.length, 4);
  const optional = Buffer.from('WINDOWS data that is not a path');
  return Buffer.concat([Buffer.from([7, 0, 0, 0]), option, Buffer.from(`${description}\0`, 'utf16le'), path, optional]);
};

test.each([
  ['of a GPT, by its own GUID', [hardDrive(2, GUID, 2, 2), FILE, END], [GUID_TEXT]],
  ['of an MBR, by the drive and its number', [hardDrive(1, '78563412', 1, 1), FILE, END], ['12345678-01']],
  ['of none, as a network or a shell', [node(3, 11, Buffer.alloc(33)), END], []],
  [
    'of several',
    [hardDrive(2, GUID, 2, 2), node(0x7f, 1, Buffer.alloc(0)), hardDrive(3, '78563412', 1, 1), END],
    [GUID_TEXT, '12345678-03'],
  ],
])('a partition %s', (_what, nodes, found) => {
  expect(bootPartitions(variable(Buffer.concat(nodes)), 'Boot0001')).toEqual(found);
});

test('an entry without a name, and one that was just deleted', () => {
  expect(bootPartitions(variable(Buffer.concat([hardDrive(2, GUID, 2, 2), END]), ''), 'Boot0001')).toEqual([GUID_TEXT]);
  expect(bootPartitions(Buffer.alloc(0), 'Boot0001')).toEqual([]);
});

const whole = variable(Buffer.concat([hardDrive(2, GUID, 2, 2), END]));
test.each([
  ['shorter than its head', whole.subarray(0, 9)],
  ['cut in its name', whole.subarray(0, 18)],
  ['cut in its path', whole.subarray(0, 60)],
  ['whose node has no length', variable(Buffer.from([4, 1, 0, 0]))],
  ['whose node is longer than the path', variable(Buffer.from([4, 1, 200, 0]))],
])('an entry %s is not understood', (_what, bytes) => {
  expect(() => bootPartitions(bytes, 'Boot0007')).toThrow("the firmware's Boot0007 is not understood");
});
