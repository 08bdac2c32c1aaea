/**
 * A drive that stops answering, as one with a dead cable does: a loop device on a file that this process itself serves (FUSE). What reads it
 * then waits in the kernel, and no signal ends it, until the drive answers again. If this process dies, the kernel fails whatever waits.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync, read, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type DriveSpec, type Lab, type LabDrive, labMissing, run } from './lab.ts';

export const hungMissing = labMissing || (existsSync('/dev/fuse') ? '' : 'the kernel here has no FUSE (/dev/fuse)');

export interface HungDrive extends LabDrive {
  /** Where the file behind it is served; to be left alone while it hangs. */
  served: string;
  /** From now on nothing that is read or written comes back, and what the file is neither. */
  hang(): void;
  /** From now on it says that it has written, and has not. */
  lies(): void;
  /** From now on whatever is read or written fails. */
  fails(): void;
  /** From now on it takes what is written this slowly, one after the other. */
  slows(bytesPerSecond: number): void;
  /** Everything that waits is answered, and all that comes. */
  answer(): void;
}

/** Linux's include/uapi/linux/fuse.h, protocol 7.31. */
const OP = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  write: 16,
  release: 18,
  init: 26,
  interrupt: 36,
  batchForget: 42,
};
const HELD: ReadonlySet<number> = new Set([OP.read, OP.write, OP.getattr, OP.lookup]);
const ENOENT = 2;
const EIO = 5;
const ENOSYS = 38;
const IN_HEADER = 40;
const ROOT = 1n;
const FILE = 2n;
const NAME = 'disk.img';
const NOWHERE = Buffer.alloc(0);

const attributes = (node: bigint, size: number): Buffer => {
  const attr = Buffer.alloc(88);
  attr.writeBigUInt64LE(node, 0);
  attr.writeBigUInt64LE(BigInt(size), 8);
  attr.writeBigUInt64LE(BigInt(size) / 512n, 16);
  attr.writeUInt32LE(node === ROOT ? 0o40755 : 0o100600, 60);
  attr.writeUInt32LE(1, 64);
  attr.writeUInt32LE(4096, 80);
  return attr;
};

/** What is answered to one request; null: nothing is. */
const replyTo = (content: Buffer, opcode: number, node: bigint, body: Buffer): Buffer | number | null => {
  switch (opcode) {
    case OP.init: {
      const out = Buffer.alloc(64);
      out.writeUInt32LE(7, 0);
      out.writeUInt32LE(31, 4);
      out.writeUInt32LE(128 * 1024, 20);
      return out;
    }
    case OP.lookup: {
      if (body.subarray(0, body.indexOf(0)).toString() !== NAME) return -ENOENT;
      const out = Buffer.alloc(40 + 88);
      out.writeBigUInt64LE(FILE, 0);
      attributes(FILE, content.length).copy(out, 40);
      return out;
    }
    case OP.getattr: {
      const out = Buffer.alloc(16 + 88);
      attributes(node, node === ROOT ? 0 : content.length).copy(out, 16);
      return out;
    }
    case OP.open: {
      // FOPEN_DIRECT_IO: the kernel keeps nothing of it, so that every read comes here.
      const out = Buffer.alloc(16);
      out.writeUInt32LE(1, 8);
      return out;
    }
    case OP.read: {
      const at = Number(body.readBigUInt64LE(8));
      return content.subarray(at, at + body.readUInt32LE(16));
    }
    case OP.write: {
      const size = body.readUInt32LE(16);
      body.copy(content, Number(body.readBigUInt64LE(8)), 40, 40 + size);
      const out = Buffer.alloc(8);
      out.writeUInt32LE(size, 0);
      return out;
    }
    case OP.release:
      return Buffer.alloc(0);
    case OP.forget:
    case OP.batchForget:
    case OP.interrupt:
      return null;
    default:
      return -ENOSYS;
  }
};

const mountFuse = async (fd: number, point: string): Promise<void> => {
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
  const child = spawn('/usr/bin/mount', ['-i', '-t', 'fuse', '-o', options, 'felhom-lab', point], {
    stdio: ['ignore', 'ignore', 'inherit', fd],
  });
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`mount ended with ${status}`);
};

/** Answers what the kernel asks, until it is stopped. */
const serve = (fd: number, content: Buffer) => {
  const held: (() => void)[] = [];
  let how: 'well' | 'hangs' | 'lies' | 'fails' | 'slows' = 'well';
  let bytesPerSecond = 1;
  let last = Promise.resolve();
  let stopped = false;
  const buffer = Buffer.alloc(256 * 1024);

  const send = (unique: bigint, reply: Buffer | number): void => {
    const body = typeof reply === 'number' ? Buffer.alloc(0) : reply;
    const out = Buffer.alloc(16 + body.length);
    out.writeUInt32LE(out.length, 0);
    out.writeInt32LE(typeof reply === 'number' ? reply : 0, 4);
    out.writeBigUInt64LE(unique, 8);
    body.copy(out, 16);
    try {
      writeSync(fd, out);
    } catch {
      // Whoever asked has gone.
    }
  };
  const replyAs = (opcode: number, node: bigint, body: Buffer): Buffer | number | null => {
    const touches = opcode === OP.read || opcode === OP.write;
    if (how === 'fails' && touches) return -EIO;
    return replyTo(how === 'lies' && opcode === OP.write ? NOWHERE : content, opcode, node, body);
  };
  const take = (request: Buffer): void => {
    const opcode = request.readUInt32LE(4);
    const unique = request.readBigUInt64LE(8);
    const body = Buffer.from(request.subarray(IN_HEADER));
    const answer = (): void => {
      const reply = replyAs(opcode, request.readBigUInt64LE(16), body);
      if (reply !== null) send(unique, reply);
    };
    if (how === 'hangs' && HELD.has(opcode)) held.push(answer);
    else if (how === 'slows' && opcode === OP.write) {
      const ms = (1000 * body.readUInt32LE(16)) / bytesPerSecond;
      last = last.then(() => new Promise<void>((resolve) => setTimeout(resolve, ms))).then(answer);
    } else answer();
  };
  const loop = async (): Promise<void> => {
    while (!stopped) {
      try {
        const { bytesRead } = await promisify(read)(fd, buffer, 0, buffer.length, null);
        take(Buffer.from(buffer.subarray(0, bytesRead)));
      } catch (error) {
        if ((error as { code?: string }).code === 'ENODEV') return;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
  };
  const ended = loop();
  return {
    hang: () => {
      how = 'hangs';
    },
    lies: () => {
      how = 'lies';
    },
    fails: () => {
      how = 'fails';
    },
    slows: (rate: number) => {
      how = 'slows';
      bytesPerSecond = rate;
    },
    answer: () => {
      how = 'well';
      for (const answer of held.splice(0)) answer();
    },
    stop: async () => {
      stopped = true;
      await ended;
    },
  };
};

/** A drive full of zeros that answers, until it is told to hang. */
export const hungDrive = async (lab: Lab, name: string, mb = 32, spec: Partial<DriveSpec> = {}): Promise<HungDrive> => {
  const point = join(lab.dir, `${name}-fuse`);
  await mkdir(point);
  const fd = openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  const server = serve(fd, Buffer.alloc(mb * 1024 ** 2));
  lab.undo(async () => {
    server.answer();
    await run('umount', '-l', point);
    await server.stop();
    closeSync(fd);
  });
  await mountFuse(fd, point);
  const drive = await lab.attach(join(point, NAME), { name, ...spec });
  lab.undo(async () => {
    server.answer();
    await lab.detach(drive);
  });
  const { hang, lies, fails, slows, answer } = server;
  return { ...drive, served: join(point, NAME), hang, lies, fails, slows, answer };
};
